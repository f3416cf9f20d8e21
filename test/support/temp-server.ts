/** A server on a data directory of its own, for one test or file; both are gone after `close`. */
import type { CurlewOptions } from './curlew-process.ts'
import { CurlewProcess } from './curlew-process.ts'
import { makeTempDirectory } from './temp-directory.ts'

export class TempServer {
  readonly dataDirectory: string
  #server: CurlewProcess
  readonly #removeDirectory: () => Promise<void>

  private constructor(server: CurlewProcess, removeDirectory: () => Promise<void>) {
    this.#server = server
    this.dataDirectory = server.dataDirectory
    this.#removeDirectory = removeDirectory
  }

  static async start(label: string, args: readonly string[] = []): Promise<TempServer> {
    const directory = await makeTempDirectory(label)
    try {
      const server = await CurlewProcess.start({ dataDirectory: directory.path, args })
      return new TempServer(server, () => directory.remove())
    } catch (error) {
      await directory.remove()
      throw error
    }
  }

  get process(): CurlewProcess {
    return this.#server
  }

  get baseUrl(): string {
    return this.#server.baseUrl
  }

  /** Starts a process on the same port and data; the one before must have ended. */
  async startAgain(args: readonly string[] = []): Promise<void> {
    const options: CurlewOptions = {
      dataDirectory: this.dataDirectory,
      port: this.#server.port,
      args,
    }
    this.#server = await CurlewProcess.start(options)
  }

  async close(): Promise<void> {
    await this.#server.killHard()
    await this.#removeDirectory()
  }
}
