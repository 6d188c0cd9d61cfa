// The workflow that Restate runs: durable steps that do nothing, each with what the one before gave. Its port is the argument.
// Started by measure.py.

import { RestatePromise, serve, service } from "@restatedev/restate-sdk";

// The SDK uses what Node has from version 22 on.
Promise.withResolvers ??= function withResolvers() {
  let resolve, reject;
  const promise = new this((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
};

const step = (context, before) => context.run("step", () => before + 1);

const bench = service({
  name: "bench",
  handlers: {
    // Chains side by side, a layer at a time: the SDK wants its own combinators, and those know no chains.
    chains: async (context, { chains, depth }) => {
      let values = Array(chains).fill(0);
      for (let at = 0; at < depth; at++) {
        values = await RestatePromise.all(values.map((before) => step(context, before)));
      }
      return values;
    },
    sequence: async (context, { depth }) => {
      let value = 0;
      for (let at = 0; at < depth; at++) value = await step(context, value);
      return value;
    },
  },
});

await serve({ services: [bench], port: Number(process.argv[2]) });
