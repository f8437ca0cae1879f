// Frames to slide through. props.value is {frames: [address of a picture], captions} or null.
const picture = element.querySelector('img');
const slider = element.querySelector('input');
const caption = element.querySelector('figcaption');
const play = element.querySelector('button');
let timer = null, direction = 1;
const frames = () => props.value?.frames ?? [];
function show() {
  const all = frames();
  element.querySelector('figure').hidden = all.length === 0;
  if (!all.length) return;
  const index = Math.min(Number(slider.value), all.length - 1);
  picture.src = all[index];
  picture.alt = caption.textContent = props.value.captions[index];
  slider.setAttribute('aria-valuetext', caption.textContent);
}
function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = 'Play';
}
function start() {
  play.textContent = 'Pause';
  timer = setInterval(() => {
    const last = frames().length - 1;
    if (Number(slider.value) >= last) direction = -1;
    if (Number(slider.value) <= 0) direction = 1;
    slider.value = Number(slider.value) + direction;
    show();
  }, 140);
}
function load() {
  slider.max = Math.max(0, frames().length - 1);
  slider.value = 0;
  show();
}
slider.addEventListener('input', () => { stop(); show(); });
play.addEventListener('click', () => (timer ? stop() : start()));
watch('value', load);
load();
