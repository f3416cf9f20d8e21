#!/usr/bin/env node
/** The program's entry: prepares the process before anything else is loaded. */
import { env } from 'node:process'

// Reads of cold records, compression and file work share these threads; Node's four are too few. The
// pool is made at its first use, so that this must come before every other import.
env['UV_THREADPOOL_SIZE'] ??= '16'

const { main } = await import('./main.ts')
await main()
