import assert from 'node:assert/strict'
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { MarkFile, readMarks, removeMarks } from './index.ts'

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-marks-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const now = (): number => 0
const id = (n: number): Buffer => Buffer.alloc(16, n)
const firstBytes = (dir: string): number[] => readMarks(dir).map(mark => mark.messageId[0]!)
const sizeOf = (dir: string): number => statSync(join(dir, '0.mark')).size

/** Marks that come and go until the file has been replaced. */
function replaceFile(dir: string, marks: MarkFile): void {
  const { ino } = statSync(join(dir, '0.mark'))
  for (let i = 0; statSync(join(dir, '0.mark')).ino === ino; i++) {
    assert.ok(i < 100_000, 'the file is replaced')
    marks.clear(marks.mark(id(1), [0]), false)
    marks.write()
  }
}

test('a mark can be read once it is written, and not any more after it was cleared and another written', t => {
  const dir = folder(t)
  const marks = new MarkFile(dir, 0, now)
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
  using marks = new MarkFile(dir, 0, now)
  const token = marks.mark(id(1), [3])
  marks.write()
  marks.clear(token, true)
  assert.deepEqual(readMarks(dir), [])
})

test('marks of several threads do not disturb each other', t => {
  const dir = folder(t)
  const [a, b] = [new MarkFile(dir, 0, now), new MarkFile(dir, 1, now)]
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
  const marks = new MarkFile(dir, 0, now)
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

test('there is one file, which stays small while marks come and go and keeps an old open mark', t => {
  const dir = folder(t)
  const marks = new MarkFile(dir, 0, now)
  marks.mark(id(9), [0, 7])
  for (let i = 0; i < 100_000; i++) {
    marks.clear(marks.mark(id(1), [0]), false)
    if (i % 3 === 0) marks.write()
  }
  assert.deepEqual(readdirSync(dir), ['0.mark'])
  assert.ok(sizeOf(dir) < 1.1 * 1024 * 1024)
  assert.deepEqual(readMarks(dir)[0], { messageId: id(9), recipientNumbers: [0, 7] })
})

test('what was cleared does not come back, however many files come and go beside an older open mark', t => {
  const dir = folder(t)
  const marks = new MarkFile(dir, 0, now)
  marks.mark(id(9), [0])
  const answered = marks.mark(id(8), [0])
  replaceFile(dir, marks)
  marks.clear(answered, true)
  assert.ok(!firstBytes(dir).includes(8))
  for (let times = 0; times < 2; times++) {
    replaceFile(dir, marks)
    assert.ok(firstBytes(dir).includes(9) && !firstBytes(dir).includes(8))
  }
})

test('open marks that are more than a file holds are replaced once, not again at each further one', t => {
  const dir = folder(t)
  let writes = 0
  const marks = new MarkFile(dir, 0, now, (...args) => {
    writes++
    return writeSync(...args)
  })
  const numbers = Array.from({ length: 1000 }, (_, i) => i)
  const tokens = Array.from({ length: 400 }, () => {
    const token = marks.mark(id(1), numbers)
    marks.write()
    return token
  })
  assert.equal(writes, 401)
  assert.equal(readMarks(dir).length, 400)
  for (const token of tokens) marks.clear(token, false)
  marks.clear(marks.mark(id(2), [0]), true)
  assert.deepEqual(readMarks(dir), [])
})

test('on a full disk no file is left behind; with room again the file says what is open, a second later at most', t => {
  const dir = folder(t)
  let nowMs = 0
  let isFull = false
  const marks = new MarkFile(
    dir,
    0,
    () => nowMs,
    (descriptor, bytes, offset, sizeBytes) => {
      // The last bytes that find room are half a record.
      if (isFull) return writeSync(descriptor, bytes, offset, Math.min(20, sizeBytes))
      return writeSync(descriptor, bytes, offset, sizeBytes)
    },
  )
  const answered = marks.mark(id(8), [0])
  marks.write()
  isFull = true
  for (let i = 0; i < 1000; i++) {
    marks.mark(id(i % 2), [i])
    marks.write()
    nowMs += 10
  }
  marks.clear(answered, true)
  assert.deepEqual(readdirSync(dir), ['0.mark'])
  isFull = false
  nowMs += 1000
  marks.write()
  assert.equal(readMarks(dir).length, 1000)
  assert.ok(!firstBytes(dir).includes(8))
  marks.mark(id(3), [0])
  marks.write()
  assert.ok(firstBytes(dir).includes(3))
})

test('a write that fails once is made up for before the final dot', t => {
  const dir = folder(t)
  let fails = 0
  const marks = new MarkFile(dir, 0, now, (...args) => {
    if (fails-- > 0) throw Object.assign(new Error('EIO'), { code: 'EIO' })
    return writeSync(...args)
  })
  marks.mark(id(1), [0])
  marks.write()
  fails = 1
  marks.mark(id(2), [0])
  marks.write()
  assert.deepEqual(firstBytes(dir), [1, 2])
})

test('what a kill left of a file in the making is not read, and goes with the others', t => {
  const dir = folder(t)
  const marks = new MarkFile(dir, 0, now)
  marks.mark(id(1), [0])
  marks.write()
  copyFileSync(join(dir, '0.mark'), join(dir, '1.mark.new'))
  assert.deepEqual(firstBytes(dir), [1])
  removeMarks(dir)
  assert.deepEqual(readdirSync(dir), [])
})

test('clears of a version before count: each was a record, and it could be in another file of the same thread', t => {
  const dir = folder(t)
  const marks = new MarkFile(dir, 0, now)
  const token = marks.mark(id(1), [0])
  marks.mark(id(2), [0])
  marks.write()
  renameSync(join(dir, '0.mark'), join(dir, '0-10.mark'))
  assert.deepEqual(firstBytes(dir), [1, 2])
  const clear = Buffer.alloc(13)
  clear[0] = 2
  clear.writeDoubleLE(token, 1)
  clear.writeUInt32LE(crc32(clear.subarray(0, 9)), 9)
  writeFileSync(join(dir, '0-11.mark'), clear)
  assert.deepEqual(firstBytes(dir), [2])
})

test('without a folder to make a new file in, marks and clears go on and nothing is thrown', t => {
  const dir = folder(t)
  const marks = new MarkFile(dir, 0, now)
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
  const marks = new MarkFile(dir, 0, now)
  marks.clear(marks.mark(id(1), [0]), false)
  marks[Symbol.dispose]()
  assert.deepEqual(readdirSync(dir), [])
  // The next one may have opened its file by now.
  marks[Symbol.dispose]()
  marks.clear(marks.mark(id(2), [0]), true)
  assert.deepEqual(readdirSync(dir), [])
  removeMarks(dir)
  assert.deepEqual(readMarks(join(dir, 'missing')), [])
})
