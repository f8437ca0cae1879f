// A strip of radio buttons with pictures. props.value is the number of the chosen one, or null.
const strip = element.querySelector('.strip');
function sync() {
  for (const button of element.querySelectorAll('input'))
    button.checked = props.value !== null && Number(button.value) === Number(props.value);
  strip.querySelector('input:checked')?.closest('label')
    .scrollIntoView({block: 'nearest', inline: 'nearest'});
}
element.addEventListener('change', (event) => {
  if (event.target.type !== 'radio') return;
  event.stopPropagation();
  props.value = Number(event.target.value);
  trigger('input');
});
watch(['value', 'options'], sync);
for (const button of element.querySelectorAll('input'))
  button.checked = props.value !== null && Number(button.value) === Number(props.value);
