/** What `curlew --help` prints. */

import { describeSettings } from '../config/settings-help.ts'
import type { Role } from '../config.ts'
import { VERSION } from '../lib/version.ts'

export function helpText(role: Role): string {
  return `Curlew ${VERSION}, the message log that you can curl

Usage
  curlew [standalone] [settings]   one process that does everything (the default)
  curlew storage [settings]        a node of a cluster that keeps records; see docs/cluster.md
  curlew front [settings]          a node of a cluster that answers clients
  curlew dump FILE                 print a file of the data folder, and whether it is valid
  curlew repair --data DIR [--apply] [--rebuild-metadata]
                                   say what is damaged in a data folder, and mend what can be
  curlew [COMMAND] --help          this text, with the settings of that command
  curlew --version

Settings of ${role}
${describeSettings(role)}

Every setting is also a variable: --max-request-bytes is CURLEW_MAX_REQUEST_BYTES. Flags win over
variables, variables over the file. Sizes take KiB, MiB, GiB; times take ms, s, m, h.

Try it
  curlew --data ./data &
  curl -d '{"hello":"world"}' localhost:8080/v1/topics/greetings/publish
  curl localhost:8080/v1/topics/greetings/records
`
}
