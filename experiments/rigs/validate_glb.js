// Print the result of Khronos' glTF Validator: one line a GLB file, its errors and warnings below.
//
//     npm install gltf-validator && node experiments/rigs/validate_glb.js crowd.glb
//
// The exit code is 1 if a file has an error.
const { readFileSync } = require("fs");
const { createRequire } = require("module");
const validator = createRequire(process.cwd() + "/")("gltf-validator");

async function main(paths) {
  let errors = 0;
  for (const path of paths) {
    const { issues } = await validator.validateBytes(new Uint8Array(readFileSync(path)), { maxIssues: 500 });
    errors += issues.numErrors;
    console.log(`${path}: ${issues.numErrors} errors, ${issues.numWarnings} warnings, ${issues.numInfos} infos`);
    const counts = new Map();
    for (const { severity, code } of issues.messages.filter((m) => m.severity < 2)) {
      const key = `${["error", "warning"][severity]} ${code}`;
      counts.set(key, (counts.get(key) || 0) + 1);
    }
    for (const [key, count] of counts) console.log(`    ${count} x ${key}`);
  }
  process.exit(errors ? 1 : 0);
}

main(process.argv.slice(2));
