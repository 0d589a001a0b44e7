// Print what an independent reader, three-vrm, finds in VRM animation files: bones, expressions and their keyframes.
//
//     npm install three @pixiv/three-vrm @pixiv/three-vrm-animation
//     node --input-type=module - take.vrma < experiments/rigs/read_vrma.mjs
//
// Node reads the script from its input, so that it finds the packages of the folder in which it runs.
import { readFileSync } from "fs";

globalThis.self = globalThis;
globalThis.ProgressEvent ??= class {};
const { GLTFLoader } = await import("three/examples/jsm/loaders/GLTFLoader.js");
const { VRMAnimationLoaderPlugin } = await import("@pixiv/three-vrm-animation");

const list = (tracks) => [...tracks].map(([name, track]) => `${name} ${track.times.length}`).join(", ");

for (const path of process.argv.slice(2)) {
  const data = readFileSync(path);
  const loader = new GLTFLoader();
  loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
  const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
  const gltf = await new Promise((done, failed) => loader.parse(bytes, "", done, failed));
  const [animation] = gltf.userData.vrmAnimations;
  console.log(`${path}: ${animation.duration.toFixed(3)} s; keyframes by track:`);
  console.log(`    bones: ${list(animation.humanoidTracks.rotation)}`);
  console.log(`    presets: ${list(animation.expressionTracks.preset)}`);
  console.log(`    custom: ${list(animation.expressionTracks.custom)}`);
  console.log(`    lookAt: ${animation.lookAtTrack?.times.length ?? "none"}`);
}
