// The skeleton editor. props.value is {points: 18 x [row, column, shown], height, width, background},
// in pixels of the model's image; props.names are the points' names, props.bones pairs of them.
const SVG = 'http://www.w3.org/2000/svg';
const board = element.querySelector('.board');
const status = element.querySelector('.status');
const hideButton = element.querySelector('[data-do=hide]');
const mirrorButton = element.querySelector('[data-do=mirror]');
let points = [], selected = null, dragged = null, waiting = null, committed = null;

const words = (name) => name.replaceAll('_', ' ');
const make = (name, attributes, parent) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.appendChild(node);
  return node;
};
const hue = (index, count) => `hsl(${Math.round(index / count * 320)} 90% 52%)`;

function load() {
  const value = props.value;
  if (!value || JSON.stringify(value) === committed) return;
  committed = null;  // another pose is shown, so the committed one may be wanted again
  points = value.points.map((point) => [...point]);
  // A hidden point has no place: it waits beside the point that it hangs on.
  for (const [from, to] of props.bones)
    if (!(points[to][2] > 0.5) && points[to][0] === 0 && points[to][1] === 0) {
      const [row, column] = points[from];
      points[to] = [row + value.height * 0.05, column + value.width * 0.06, 0];
    }
  draw();
}

function draw() {
  const {height, width, background} = props.value;
  const focused = selected;
  board.replaceChildren();
  board.setAttribute('viewBox', `-0.5 -0.5 ${width} ${height}`);
  if (background)
    make('image', {href: background, x: -0.5, y: -0.5, width, height,
                   preserveAspectRatio: 'none', opacity: 0.92}, board);
  const radius = height / 62;
  props.bones.forEach(([a, b], index) => {
    if (points[a][2] > 0.5 && points[b][2] > 0.5)
      make('line', {x1: points[a][1], y1: points[a][0], x2: points[b][1], y2: points[b][0],
                    stroke: hue(index, props.bones.length), 'stroke-width': radius * 0.9,
                    'stroke-linecap': 'round', 'pointer-events': 'none'}, board);
  });
  points.forEach(([row, column, shown], index) => {
    const label = `${words(props.names[index])}, ${shown > 0.5 ? 'shown' : 'hidden'}`;
    const group = make('g', {tabindex: 0, role: 'button', 'aria-label': label,
                             'data-point': index, class: index === selected ? 'chosen' : ''}, board);
    make('circle', {cx: column, cy: row, r: radius * 2.6, fill: 'transparent'}, group);
    make('circle', {cx: column, cy: row, r: radius * (shown > 0.5 ? 1.05 : 0.8), class: 'dot',
                    fill: shown > 0.5 ? hue(index, 18) : 'transparent',
                    stroke: shown > 0.5 ? 'white' : '#888',
                    'stroke-width': radius * 0.35,
                    'stroke-dasharray': shown > 0.5 ? 'none' : radius * 0.6}, group);
  });
  if (focused !== null && element.contains(document.activeElement) === false && dragged === null)
    board.querySelector(`[data-point="${focused}"]`)?.focus({preventScroll: true});
  say();
}

function say() {
  const name = selected === null ? null : words(props.names[selected]);
  status.textContent = name === null ? 'Drag a point, or choose it with Tab and move it with the arrow keys.'
    : `${name}: ${points[selected][2] > 0.5 ? 'shown' : 'hidden'}`;
  hideButton.disabled = selected === null;
  hideButton.textContent = selected !== null && !(points[selected][2] > 0.5) ? 'Show point' : 'Hide point';
}

function commit() {
  const value = {...props.value, points: points.map(([r, c, v]) => v > 0.5 ? [r, c, 1] : [0, 0, 0])};
  committed = JSON.stringify(value);
  props.value = value;
  trigger('input');
}
function commitSoon() { clearTimeout(waiting); waiting = setTimeout(commit, 300); }

function toggle(index) {
  points[index][2] = points[index][2] > 0.5 ? 0 : 1;
  draw();
  commitSoon();
}
function move(index, row, column) {
  const {height, width} = props.value;
  points[index] = [Math.min(height - 1, Math.max(0, row)), Math.min(width - 1, Math.max(0, column)),
                   1];
  draw();
}
const pointOf = (event) => {
  const index = event.target.closest('[data-point]')?.getAttribute('data-point');
  return index === null || index === undefined ? null : Number(index);
};

board.addEventListener('pointerdown', (event) => {
  selected = dragged = pointOf(event);
  if (dragged === null) return say();
  event.preventDefault();
  board.setPointerCapture(event.pointerId);
  draw();
});
board.addEventListener('pointermove', (event) => {
  if (dragged === null || !event.buttons) return;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(board.getScreenCTM().inverse());
  element.dataset.moved = '1';
  move(dragged, at.y, at.x);
});
board.addEventListener('pointerup', () => {
  if (dragged !== null && element.dataset.moved) commit();
  delete element.dataset.moved;
  dragged = null;
});
board.addEventListener('dblclick', () => { if (selected !== null) toggle(selected); });
// Not on the board, which Chromium would make a stop of the Tab key.
element.addEventListener('focusin', (event) => {
  const index = pointOf(event);
  if (index !== null && index !== selected) { selected = index; say(); }
});
board.addEventListener('keydown', (event) => {
  const index = pointOf(event);
  if (index === null) return;
  const step = event.shiftKey ? 5 : 1;
  const moves = {ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step]};
  selected = index;
  if (moves[event.key]) {
    move(index, points[index][0] + moves[event.key][0], points[index][1] + moves[event.key][1]);
    commitSoon();
  } else if ([' ', 'Enter', 'h', 'Delete'].includes(event.key)) toggle(index);
  else return;
  event.preventDefault();
  board.querySelector(`[data-point="${index}"]`).focus({preventScroll: true});
});
hideButton.addEventListener('click', () => { if (selected !== null) toggle(selected); });
mirrorButton.addEventListener('click', () => {
  const turned = points.map(([r, c, v]) => [r, props.value.width - 1 - c, v]);
  points = props.mirrored.map((index) => turned[index]);
  draw();
  commit();
});
watch('value', load);
load();
