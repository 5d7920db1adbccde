// import "tare" from an ECMAScript module of the agent's.
const TARE = new URL("lib/tare/index.js", import.meta.url).href;

export async function resolve(specifier, context, nextResolve) {
  if (specifier === "tare") return { url: TARE, format: "commonjs", shortCircuit: true };
  return nextResolve(specifier, context);
}
