// Builds lobsim/report/page/assets/echarts.min.js from the npm registry, with the licences of what is in it.
//
//   cd tools/charts && npm ci && npm run build
//
// Versions are pinned in package.json and package-lock.json: the same versions give the same bytes.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const assets = join(here, "../../lobsim/report/page/assets");
const read = (...names) => readFileSync(join(here, "node_modules", ...names), "utf8").replaceAll("\r\n", "\n").trim();
const version = JSON.parse(read("echarts", "package.json")).version;

await build({
  absWorkingDir: here,
  entryPoints: ["entry.mjs"],
  outfile: join(assets, "echarts.min.js"),
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "echarts",
  charset: "ascii",
  target: ["es2020"],
  legalComments: "none",
  banner: { js: `/*! Apache ECharts ${version}, Apache-2.0: https://echarts.apache.org, see ECHARTS-LICENSE and ECHARTS-NOTICE */` },
});

const others = [
  ["zrender (BSD 3-Clause)", read("zrender", "LICENSE")],
  ["tslib (0BSD)", read("tslib", "LICENSE.txt")],
  ["parts of d3, as Apache ECharts carries them (BSD 3-Clause)", read("echarts", "licenses", "LICENSE-d3")],
];
const rule = "=".repeat(80);
writeFileSync(join(assets, "ECHARTS-LICENSE"), `${read("echarts", "LICENSE")}\n`);
writeFileSync(
  join(assets, "ECHARTS-NOTICE"),
  [
    `${read("echarts", "NOTICE")}\n`,
    `echarts.min.js is a build of Apache ECharts ${version} with only the parts that tools/charts/entry.mjs names,`,
    "bundled and minified with esbuild; no line of it was changed by hand. It includes:",
    ...others.map(([name, text]) => `\n${rule}\n${name}\n${rule}\n\n${text}`),
    "",
  ].join("\n"),
);
