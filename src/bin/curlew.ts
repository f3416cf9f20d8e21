#!/usr/bin/env node
/** The program's entry: prepares the process before anything else is loaded. */
import { env } from 'node:process'
import { setFlagsFromString } from 'node:v8'

// Reads of cold records, compression and file work share these threads; Node's four are too few. The
// pool is made at its first use, so that this must come before every other import.
env['UV_THREADPOOL_SIZE'] ??= '16'

// V8 collects the whole heap after every 64 MiB of new buffers, which is several times a second under
// load and took a fifth of the processor's time. Counted against the heap's own limit, buffers may
// double before it does; the newest records that memory keeps are most of them, so that is bounded.
setFlagsFromString('--external-memory-accounted-in-global-limit')
setFlagsFromString('--external-memory-max-growing-factor=2')
// Objects that stay are some tens of megabytes, of which V8 collects the whole heap after every 8 more, once a second.
setFlagsFromString('--heap-growing-percent=400')
// Little survives a young collection here; helpers cost more in being woken than they collect.
setFlagsFromString('--no-parallel-scavenge')

const { main } = await import('./main.ts')
await main()
