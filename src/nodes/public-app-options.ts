/** The settings of whoever answers clients, as the public application takes them. */
import type { Config, FrontConfig } from '../config.ts'
import type { PublicAppOptions } from '../http/public/public-app.ts'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/

export function publicAppOptions(config: Config | FrontConfig): PublicAppOptions {
  return {
    corsOrigins: config.corsOrigin,
    allowedHosts: config.allowedHost,
    loopback: LOOPBACK.test(config.host),
    maxConnections: config.maxConnections,
    maxStreams: config.maxStreams,
    maxRequestBytes: config.maxRequestBytes,
    maxBodyMemoryBytes: config.maxBodyMemoryBytes,
  }
}
