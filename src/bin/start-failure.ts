/** Says in one line why the program cannot start, where the reason lies outside of it. */
import type { Configs, Role } from '../config.ts'

/** Errors whose message is meant for whoever starts the program. */
const SAID_IN_WORDS: ReadonlySet<string> = new Set([
  'DataDirectoryError',
  'StoreRefusedError',
  'PeerDisagreesError',
])
const METADATA_WAY_OUT =
  'restore it from a backup, or see `curlew repair` and its flag --rebuild-metadata'

/** Undefined for what only a stack trace explains. */
export function explainFailure(error: unknown, config: Configs[Role]): string | undefined {
  const { host, port } = config
  const data = 'data' in config ? config.data : ''
  if (!(error instanceof Error)) return undefined
  if (error.name === 'DamagedStoreError') return `${error.message}; ${METADATA_WAY_OUT}`
  if (SAID_IN_WORDS.has(error.name)) return error.message
  const { code, syscall } = error as NodeJS.ErrnoException
  const address = `${host}:${port}`
  if (syscall === 'listen' || syscall === 'getaddrinfo') {
    switch (code) {
      case 'EADDRINUSE':
        return `another program listens on ${address}; stop it, or choose another --port`
      case 'EACCES':
        return `this user may not listen on ${address}; ports below 1024 need a privilege, choose another --port`
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return `${host} is not an address of this machine; choose another --host`
      default:
        return `cannot listen on ${address}: ${error.message}`
    }
  }
  switch (code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `this user may not write to the data folder ${data}: ${error.message}`
    case 'ENOSPC':
    case 'disk-full':
      return `there is no space for the data folder ${data}: ${error.message}`
    case 'ENOTDIR':
    case 'EEXIST':
      return `the data folder ${data} is not a folder: ${error.message}`
    default:
      return undefined
  }
}
