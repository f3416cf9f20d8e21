/** Node's HTTP server as everybody gets it. */
import type { RequestListener, Server } from 'node:http'
import { createServer } from 'node:http'

const OPTIONS = {
  maxHeaderSize: 32 * 1024,
  /** For the headers. Bodies are watched by their reader, as uploads and streams may last. */
  headersTimeout: 30_000,
  requestTimeout: 0,
  /** Above the idle timeout of common load balancers (60 s), who must be the ones to close. */
  keepAliveTimeout: 72_000,
  /** Node would refuse its lack without a body; the entrance does it with a problem document. */
  requireHostHeader: false,
  connectionsCheckingInterval: 5_000,
  noDelay: true,
  /** Finds dead peers of connections on which the server only waits. */
  keepAlive: true,
  keepAliveInitialDelay: 10_000,
}

export function createHttpServer(listener: RequestListener): Server {
  return createServer(OPTIONS, listener)
}
