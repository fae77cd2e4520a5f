// Mails over SMTP, on a few connections that are kept while there is something to send.
import { createTransport, type SendMailOptions } from 'nodemailer'
import { pounds } from '../money.ts'
import type { Receipt, Reminder } from './contract.ts'

const idleMs = 1_000

export function mailer(smtpUrl: string) {
  let transport: ReturnType<typeof connect> | undefined
  let idle: NodeJS.Timeout | undefined
  let underWay = 0
  const close = () => {
    transport?.close()
    transport = undefined
  }
  /** Resolves when the server has taken the mail. */
  const mail = async (letter: SendMailOptions): Promise<void> => {
    clearTimeout(idle)
    transport ??= connect(smtpUrl)
    underWay += 1
    try {
      await transport.sendMail(letter)
    } finally {
      underWay -= 1
      if (underWay === 0) idle = setTimeout(close, idleMs)
    }
  }
  return {
    receipt: (receipt: Receipt) => mail(receiptLetter(receipt)),
    reminder: (reminder: Reminder, to: string) => mail(reminderLetter(reminder, to)),
  }
}

function connect(smtpUrl: string) {
  const { hostname, port } = new URL(smtpUrl)
  return createTransport({
    host: hostname,
    port: Number(port),
    pool: true,
    maxConnections: 10,
    maxMessages: Number.POSITIVE_INFINITY,
  })
}

function receiptLetter({ invoice, kind, to, pence }: Receipt) {
  const [subject, verb] = kind === 'charge' ? ['Your receipt', 'received'] : ['Your refund', 'paid back']
  return {
    from: 'The shop <receipts@example.org>',
    to,
    subject: `${subject} for invoice ${invoice}`,
    text: `We have ${verb} ${pounds(pence)}. Thank you.`,
    // A crash after the mail and before the commit mails again: the same id lets the receiver see that.
    messageId: `<${kind}-${invoice}@example.org>`,
  }
}

function reminderLetter({ invoice, pence }: Reminder, to: string) {
  return {
    from: 'The shop <receipts@example.org>',
    to,
    subject: `Invoice ${invoice} is still open`,
    text: `We have not received ${pounds(pence)} yet.`,
    messageId: `<reminder-${invoice}@example.org>`,
  }
}
