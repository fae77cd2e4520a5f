// A mail server of our own, so that the shop needs none: it takes every mail over SMTP and remembers its id.
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'

export interface PostOffice {
  /** 'smtp://127.0.0.1:port' */
  readonly url: string
  /** The ids of the mails that were taken, each once. */
  readonly mails: ReadonlySet<string>
  close(): Promise<void>
}

/** Listens on a free port of this machine; does not keep the process alive. */
export async function openPostOffice(): Promise<PostOffice> {
  const mails = new Set<string>()
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onData(stream, _session, taken) {
      text(stream).then((mail) => {
        mails.add(/^message-id: (.*)$/im.exec(mail)?.[1]?.trim() ?? '')
        taken()
      }, taken)
    },
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  server.on('error', () => {}) // a client that was killed
  server.server.unref()
  const { port } = server.server.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${port}`,
    mails,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
