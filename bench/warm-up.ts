/**
 * The warm-up before a measurement: every server gets the same time under full load.
 *
 * A server is measured as it runs day and night, not in its first seconds: at first much of what is seen is the
 * compiling of code that a running server has compiled long ago. Time and not a number of messages, since what a fast
 * server needs would keep a slow one busy for minutes.
 */

const warmUpMs = 10_000
const messagesAtOnce = 2500

/** More than any server takes in that time; bounds what a sink has to keep book of. */
export const warmUpMessagesMax = 200_000

/**
 * Sends until the time is over.
 * @param send sends so many messages, of which the first has this number; resolves when all are accepted
 * @returns how many were sent
 */
export async function warmUp(send: (messages: number, first: number) => Promise<unknown>): Promise<number> {
  const endMs = performance.now() + warmUpMs
  let sent = 0
  while (sent === 0 || (performance.now() < endMs && sent < warmUpMessagesMax)) {
    await send(messagesAtOnce, sent)
    sent += messagesAtOnce
  }
  return sent
}
