// Runs pipelines of transformers.js from local folders: pipelines.mjs JOBS.json, an array of
// {task, root, model, dtype, texts, options}. Prints the array of answers, an error as {error}.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// The packages lie in a build folder, not beside this file.
const require = createRequire(process.env.NODE_FOLDER + '/');
const library = pathToFileURL(require.resolve('@huggingface/transformers'));
const module = await import(library);
const { pipeline, env } = module.pipeline ? module : module.default;

env.allowRemoteModels = false;
const answers = [];
for (const job of JSON.parse(readFileSync(process.argv[2], 'utf8'))) {
  try {
    env.localModelPath = job.root;
    const run = await pipeline(job.task, job.model, { dtype: job.dtype });
    const answer = await run(job.texts, job.options ?? {});
    answers.push(answer.tolist ? answer.tolist() : answer);
    await run.dispose();
  } catch (error) {
    answers.push({ error: String(error) });
  }
}
console.log(JSON.stringify(answers));
