// Re-poses a person with the ONNX file that `dpig export --format=onnx` wrote. No server computes.
// `?model=FOLDER` names the folder of the exported version; by default model/1 beside this page.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1; // more threads need a page that is isolated from other origins

// Pairs of keypoints that a skeleton joins, by their names in signatures.json.
const LIMBS = [
  ["nose", "neck"], ["neck", "right_shoulder"], ["right_shoulder", "right_elbow"],
  ["right_elbow", "right_wrist"], ["neck", "left_shoulder"], ["left_shoulder", "left_elbow"],
  ["left_elbow", "left_wrist"], ["neck", "right_hip"], ["right_hip", "right_knee"],
  ["right_knee", "right_ankle"], ["neck", "left_hip"], ["left_hip", "left_knee"],
  ["left_knee", "left_ankle"],
];

const element = (id) => document.getElementById(id);
const say = (text) => { element("status").textContent = text; };

async function main() {
  const folder = new URLSearchParams(location.search).get("model") ?? "model/1";
  const description = await json(`${folder}/signatures.json`);
  const signature = description.signatures.transfer;
  const { height, width } = description.model;
  for (const id of ["photo", "pose", "result"]) Object.assign(element(id), { height, width });

  const person = await json("person.json");
  const photo = await picture("person.png");
  const canvas = element("photo").getContext("2d", { willReadFrequently: true });
  canvas.drawImage(photo, 0, 0, width, height);
  const pixels = rgb(canvas.getImageData(0, 0, width, height));
  const scale = [height / photo.height, width / photo.width, 1];
  const keypoints = person.keypoints.map((point) => point.map((value, i) => value * scale[i]));
  const others = person.target_keypoints.map((point) => point.map((value, i) => value * scale[i]));

  const session = await ort.InferenceSession.create(`${folder}/${signature.file}`);

  async function repose() {
    const target = between(keypoints, others, Number(element("way").value));
    drawSkeleton(element("pose"), description.keypoint_names, target);
    const started = performance.now();
    const outputs = await session.run({
      images: new ort.Tensor("uint8", pixels, [1, height, width, 3]),
      keypoints: pose(keypoints),
      target_keypoints: pose(target),
    });
    const { data } = outputs[signature.outputs.images.tensor];
    element("result").getContext("2d").putImageData(rgba(data, width, height), 0, 0);
    say(`re-posed in ${Math.round(performance.now() - started)} ms`);
    return { keypoints, target };
  }

  element("way").addEventListener("input", repose);
  element("way").disabled = false;
  window.reposed = await repose(); // for tests
}

async function json(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

async function picture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

// A keypoint that one of the poses lacks is missing on the way between them.
function between(from, to, part) {
  if (part === 0 || part === 1) return part ? to : from;
  return from.map(([row, column, seen], i) => {
    const [otherRow, otherColumn, otherSeen] = to[i];
    if (!seen || !otherSeen) return [0, 0, 0];
    return [row + part * (otherRow - row), column + part * (otherColumn - column), 1];
  });
}

function pose(keypoints) {
  return new ort.Tensor("float32", Float32Array.from(keypoints.flat()), [1, keypoints.length, 3]);
}

function rgb({ data }) {
  return Uint8Array.from(data.filter((_, i) => i % 4 < 3)); // without opacity
}

function rgba(levels, width, height) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    image.data.set([levels[3 * i], levels[3 * i + 1], levels[3 * i + 2], 255], 4 * i);
  }
  return image;
}

function drawSkeleton(canvas, names, keypoints) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const limb of LIMBS) {
    const [start, end] = limb.map((name) => keypoints[names.indexOf(name)]);
    if (!start[2] || !end[2]) continue;
    context.beginPath();
    context.moveTo(start[1], start[0]);
    context.lineTo(end[1], end[0]);
    context.stroke();
  }
}

main().catch((error) => say(`failed: ${error.message}`));
