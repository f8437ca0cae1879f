// A strip of radio buttons with pictures. props.value is the number of the chosen one, or null.
const strip = element.querySelector('.strip');
function show() {
  const chosen = strip.querySelector('input:checked')?.closest('label');
  if (!chosen) return;
  // By hand, not with scrollIntoView, which moves the page too. With its frame, of 3 pixels.
  const [one, all] = [chosen, strip].map((each) => each.getBoundingClientRect());
  strip.scrollLeft += Math.max(0, one.right + 3 - all.right) + Math.min(0, one.left - 3 - all.left);
}
function sync() {
  for (const button of element.querySelectorAll('input'))
    button.checked = button.value === String(props.value);  // Gradio turns null into ''
  show();
}
// Not at 'change': the chosen one can be chosen again, which undoes what was dragged since.
element.addEventListener('click', (event) => {
  if (event.target.type !== 'radio') return;
  props.value = Number(event.target.value);
  trigger('input');
});
watch(['value', 'options'], sync);
sync();
// A tab that is hidden has no sizes: once more when it gets them. Not when it is scrolled into view,
// which would move the strip under a finger.
new ResizeObserver(show).observe(strip);
