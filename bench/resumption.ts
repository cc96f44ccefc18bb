/**
 * TLS handshakes of a secure load, and how many of them took up an earlier session: at the server's door, where our
 * generator counts, and at the sink. All sides are meant to resume; a server that does not pays for full handshakes, and is
 * not compared like with like.
 */

export interface Handshakes {
  readonly handshakes: number
  readonly resumed: number
}

export interface Resumption {
  /** From the generator to the server. */
  readonly door: Handshakes
  /** From the server to the sink. */
  readonly sink: Handshakes
}

/** Full handshakes a hundred messages, after a warm-up that left sessions to resume; kept connections make few at all. */
const fullPerHundredMax = 5

/** Undefined: all sides resume as they are meant to; else what does not. */
export function whyUnfair({ door, sink }: Resumption, messages: number): string | undefined {
  const sides = [
    ['door', door],
    ['sink', sink],
  ] as const
  for (const [side, { handshakes, resumed }] of sides)
    if ((handshakes - resumed) * 100 > messages * fullPerHundredMax)
      return `at the ${side} only ${resumed} of ${handshakes} TLS handshakes were resumed`
  return undefined
}

export function resumptionText({ door, sink }: Resumption): string {
  const said = ({ handshakes, resumed }: Handshakes): string => `${resumed} of ${handshakes}`
  return `TLS resumed ${said(door)} at the door, ${said(sink)} at the sink`
}
