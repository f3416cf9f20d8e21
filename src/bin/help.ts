/** What `curlew --help` prints. */
import { describeSettings } from '../config/settings-help.ts'
import { VERSION } from '../lib/version.ts'

export function helpText(): string {
  return `Curlew ${VERSION}, the message log that you can curl

Usage
  curlew [standalone] [settings]   one process that does everything (the default)
  curlew dump FILE                 print a file of the data folder, and whether it is valid
  curlew repair --data DIR [--apply] [--rebuild-metadata]
                                   say what is damaged in a data folder, and mend what can be
  curlew --help | --version

Settings of standalone
${describeSettings()}

Every setting is also a variable: --max-request-bytes is CURLEW_MAX_REQUEST_BYTES. Flags win over
variables, variables over the file. Sizes take KiB, MiB, GiB; times take ms, s, m, h.

Try it
  curlew --data ./data &
  curl -d '{"hello":"world"}' localhost:8080/v1/topics/greetings/publish
  curl localhost:8080/v1/topics/greetings/records
`
}
