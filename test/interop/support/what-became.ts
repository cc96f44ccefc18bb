// What became of a message: its outcomes on our side, and what came out of the recipient's server.

import { type House, type ShownEvent, waitForEvents } from '../../scenario/support/house.ts'
import type { ReceivedMail, Receiver } from '../../support/peers/index.ts'

/** Outcomes of a message by recipient, once `count` recipients have one. */
export async function outcomes(
  house: House,
  id: string,
  count: number,
): Promise<ReadonlyMap<string, ShownEvent>> {
  const ofMessage = (events: readonly ShownEvent[]): Map<string, ShownEvent> =>
    new Map(
      events
        .filter(event => event.messageId === id && event.outcome !== undefined)
        .map(event => [event.forwardPath ?? '', event]),
    )
  return ofMessage(await waitForEvents(house.server, events => ofMessage(events).size >= count))
}

/** The mails that came for any recipient that starts with `prefix`. */
export async function mailsFor(receiver: Receiver, prefix: string): Promise<ReceivedMail[]> {
  return (await receiver.received()).filter(mail => mail.rcptTo.some(to => to.startsWith(prefix)))
}

/** Waits until at least `count` recipients that start with `prefix` have come. */
export async function recipientsThatCame(
  receiver: Receiver,
  prefix: string,
  count: number,
): Promise<string[]> {
  for (let seen = 0; ; ) {
    const mails = await receiver.waitFor(seen + 1)
    seen = mails.length
    const came = mails.flatMap(mail => mail.rcptTo).filter(to => to.startsWith(prefix))
    if (came.length >= count) return came.sort()
  }
}

/** The first mail for a recipient that starts with `prefix`, once it has come. */
export async function mailThatCame(receiver: Receiver, prefix: string): Promise<ReceivedMail> {
  await recipientsThatCame(receiver, prefix, 1)
  const [mail] = await mailsFor(receiver, prefix)
  return mail!
}
