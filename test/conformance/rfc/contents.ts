// The messages that the dialogues of the client side send, by name.

const head = ['From: Ann <ann@acme.example>', 'To: Bob <bob@there.example>', 'Subject: a dialogue']
const text = [
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
]

const withBody = (fields: readonly string[], body: readonly string[]): string =>
  [...head, ...fields, '', ...body].join('\r\n')

/** Without dot-stuffing and without the end of data. */
export const contents: Readonly<Record<string, string>> = {
  plain: withBody([], ['Hello.']),
  dots: withBody([], ['.', '..', '.x', 'Hello.']),
  'no body': head.join('\r\n'),
  '8-bit': withBody(text, ['Grüße']),
  '8-bit, no MIME': withBody([], ['Grüße']),
  'UTF-8 header': withBody(['X-Greeting: Grüße', ...text], ['Grüße']),
  large: withBody([], [...Array.from({ length: 3000 }, () => 'x'.repeat(76)), 'the last line']),
}
