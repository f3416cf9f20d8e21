/** Certificates and keys that settings name: read, and seen to fit each other, before anything starts. */
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { ConfigError } from '../config/setting-value.ts'
import type { FrontConfig, StorageConfig } from '../config.ts'
import { flagOf } from '../config.ts'
import type { TlsCredentials } from '../env/http-transport.ts'

type NodeTrust = Pick<FrontConfig, 'clusterSecret' | 'tlsCert' | 'tlsKey' | 'tlsCa'>
type EtcdTrust = Pick<StorageConfig, 'etcd' | 'etcdCa' | 'etcdCert' | 'etcdKey'>

/**
 * What a node shows to others. Undefined without TLS, which then needs a secret.
 * @throws ConfigError
 */
export function nodeCredentials(config: NodeTrust): TlsCredentials | undefined {
  const { clusterSecret, tlsCert, tlsKey, tlsCa } = config
  if (tlsCert === '' && tlsKey === '' && tlsCa === '') {
    if (clusterSecret !== '') return undefined
    throw new ConfigError(
      'CURLEW_CLUSTER_SECRET is missing: the same for all nodes of the cluster; or give all of them --tls-cert, --tls-key and --tls-ca',
    )
  }
  const { cert, key, ca } = readAll({ tlsCert, tlsKey, tlsCa })
  if (cert === undefined || key === undefined || ca === undefined) {
    throw new ConfigError('--tls-cert, --tls-key and --tls-ca go together')
  }
  return { cert, key, ca }
}

/**
 * As `nodeCredentials`, where there is TLS.
 * @throws ConfigError
 */
export function requiredCredentials(config: NodeTrust): TlsCredentials {
  const credentials = nodeCredentials(config)
  if (credentials === undefined) throw new ConfigError('there is no --tls-cert')
  return credentials
}

/**
 * What members of etcd are checked against, and what is shown to them.
 * @throws ConfigError
 */
export function etcdCredentials({ etcd, etcdCa, etcdCert, etcdKey }: EtcdTrust): {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
} {
  const tls = readAll({ etcdCert, etcdKey, etcdCa })
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new ConfigError('--etcd-cert and --etcd-key go together')
  }
  const plain = etcd.find((member) => !member.startsWith('https:'))
  if (Object.keys(tls).length > 0 && plain !== undefined) {
    throw new ConfigError(`--etcd ${plain} is not https, so that no certificate is of use`)
  }
  return tls
}

type Part = 'cert' | 'key' | 'ca'

/** By the last word of each setting. */
function readAll(files: Readonly<Record<string, string>>): Partial<Record<Part, string>> {
  const found: Partial<Record<Part, string>> = {}
  const flags = Object.keys(files).map((name) => `--${flagOf(name)}`)
  for (const [name, path] of Object.entries(files)) {
    if (path === '') continue
    const flag = flagOf(name)
    found[flag.slice(flag.lastIndexOf('-') + 1) as Part] = readPem(`--${flag}`, path)
  }
  try {
    createSecureContext(found)
  } catch (cause) {
    throw new ConfigError(`${flags.join(', ')} do not fit: ${(cause as Error).message}`, { cause })
  }
  return found
}

function readPem(flag: string, path: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ConfigError(`${flag} cannot be read: ${(cause as Error).message}`, { cause })
  }
  if (text.includes('-----BEGIN ')) return text
  throw new ConfigError(`${flag} names ${path}, which is not PEM`)
}
