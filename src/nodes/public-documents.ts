/** The OpenAPI documents as files, asked of a real node, so that they cannot differ from what is served. */
import { loadConfig } from '../config/load-config.ts'
import { nullLogger } from '../env/logger.ts'
import { nullMetrics } from '../env/metrics.ts'
import { NodeFileSystem } from '../env/node-file-system.ts'
import { SystemClock } from '../env/system-clock.ts'
import { SystemRandom } from '../env/system-random.ts'
import { StandaloneNode } from './standalone-node.ts'

/** Name of the file, and where the node serves it. */
const DOCUMENTS = [
  ['public.json', '/openapi.json'],
  ['public-3.2.json', '/openapi-3.2.json'],
] as const

/** Names and texts of the documents. `dataDirectory` is used for a node that lives only meanwhile. */
export async function publicDocuments(dataDirectory: string): Promise<[string, string][]> {
  const args = [`--data=${dataDirectory}`, '--port=0', '--journal-file-bytes=18MiB']
  const config = loadConfig('standalone', { args, env: {}, readTextFile: () => '' })
  const { promise: failure, reject } = Promise.withResolvers<never>()
  const node = await StandaloneNode.start(config, {
    clock: new SystemClock(),
    random: new SystemRandom(),
    fileSystem: new NodeFileSystem(),
    logger: nullLogger,
    metrics: nullMetrics,
    onFatal: reject,
  })
  try {
    return await Promise.race([
      failure,
      Promise.all(DOCUMENTS.map((document) => read(node.url, document))),
    ])
  } finally {
    await node.stop()
  }
}

async function read(
  url: string,
  [name, path]: (typeof DOCUMENTS)[number],
): Promise<[string, string]> {
  const answer = await fetch(url + path, { headers: { connection: 'close' } })
  return [name, `${JSON.stringify(await answer.json(), null, 2)}\n`]
}
