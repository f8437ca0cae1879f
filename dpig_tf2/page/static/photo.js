// What is said of a photo. Of several that are dropped Gradio would take the first without a word.
document.addEventListener('drop', (event) => {
  if (!event.target.closest(`#${props.photo}`) || event.dataTransfer.files.length < 2) return;
  event.preventDefault();
  event.stopPropagation();
  event.target.dispatchEvent(new DragEvent('dragleave', {bubbles: true}));
  props.value = props.several;
}, true);
// A photo that is dropped beside its place must not be opened instead of the page.
for (const type of ['dragover', 'drop'])
  document.addEventListener(type, (event) => event.preventDefault());
