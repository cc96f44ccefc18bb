import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { MarkFiles, readMarks, removeMarks } from './index.ts'

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-marks-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const id = (n: number): Buffer => Buffer.alloc(16, n)

test('a mark can be read once it is written, and not any more after it was cleared and another written', t => {
  const dir = folder(t)
  const marks = new MarkFiles(dir, 0)
  const first = marks.mark(id(1), [0, 5])
  assert.deepEqual(readMarks(dir), [])
  marks.write()
  assert.deepEqual(readMarks(dir), [{ messageId: id(1), recipientNumbers: [0, 5] }])
  marks.clear(first, false)
  marks.mark(id(2), [1])
  marks.write()
  assert.deepEqual(readMarks(dir), [{ messageId: id(2), recipientNumbers: [1] }])
})

test('what was cleared since somebody comes again is not read any more, without another mark', t => {
  const dir = folder(t)
  using marks = new MarkFiles(dir, 0)
  const token = marks.mark(id(1), [3])
  marks.write()
  marks.clear(token, true)
  assert.deepEqual(readMarks(dir), [])
})

test('marks of several threads do not disturb each other', t => {
  const dir = folder(t)
  const [a, b] = [new MarkFiles(dir, 0), new MarkFiles(dir, 1)]
  const token = a.mark(id(1), [0])
  b.mark(id(2), [0])
  a.clear(token, false)
  a.mark(id(3), [0])
  a.write()
  b.write()
  assert.deepEqual(
    readMarks(dir)
      .map(mark => mark.messageId[0])
      .toSorted(),
    [2, 3],
  )
})

test('a torn last record is ignored, what is before it counts', t => {
  const dir = folder(t)
  const marks = new MarkFiles(dir, 0)
  marks.mark(id(1), [0])
  marks.write()
  const path = join(dir, readdirSync(dir)[0]!)
  const whole = readFileSync(path)
  for (let cut = 1; cut < whole.length; cut++) {
    writeFileSync(path, whole)
    appendFileSync(path, whole.subarray(0, cut))
    assert.equal(readMarks(dir).length, 1)
  }
  writeFileSync(path, whole.subarray(0, whole.length - 1))
  assert.deepEqual(readMarks(dir), [])
})

test('the files stay small while marks come and go, and an old open mark is kept', t => {
  const dir = folder(t)
  const marks = new MarkFiles(dir, 0)
  marks.mark(id(9), [0])
  for (let i = 0; i < 100_000; i++) {
    marks.clear(marks.mark(id(1), [0]), false)
    if (i % 3 === 0) marks.write()
  }
  assert.ok(readdirSync(dir).length <= 3)
  assert.ok(readMarks(dir).some(mark => mark.messageId.equals(id(9))))
})

test('a file that is full is left behind when its last mark is cleared, also when clears began the next one', t => {
  const dir = folder(t)
  const marks = new MarkFiles(dir, 0)
  const numbers = Array.from({ length: 1000 }, (_, i) => i)
  // 1 MiB of open marks, written, so that the next record begins a new file.
  const tokens = Array.from({ length: 300 }, () => marks.mark(id(1), numbers))
  marks.write()
  const newest = tokens.pop()!
  for (const token of tokens) marks.clear(token, false)
  assert.equal(readdirSync(dir).length, 2)
  marks.clear(newest, false)
  assert.equal(readdirSync(dir).length, 1)
})

test('without a folder to begin a new file in, marks and clears go on and nothing is thrown', t => {
  const dir = folder(t)
  const marks = new MarkFiles(dir, 0)
  const first = marks.mark(id(9), [0])
  rmSync(dir, { recursive: true })
  for (let i = 0; i < 50_000; i++) {
    marks.clear(marks.mark(id(1), [0]), false)
    marks.write()
  }
  marks.clear(first, false)
  marks[Symbol.dispose]()
})

test('an orderly end without open marks leaves no file', t => {
  const dir = folder(t)
  const marks = new MarkFiles(dir, 0)
  marks.clear(marks.mark(id(1), [0]), false)
  marks[Symbol.dispose]()
  assert.deepEqual(readdirSync(dir), [])
  removeMarks(dir)
  assert.deepEqual(readMarks(join(dir, 'missing')), [])
})
