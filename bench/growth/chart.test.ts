// The charts of the performance page: every value is there, and the text is one that a browser takes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawChart } from './chart.ts'

const chart = drawChart({
  title: 'rate & memory <by> size',
  stepTitle: 'size of a message',
  steps: ['4 KiB', '1 MiB'],
  panels: [
    { title: 'rate', colour: '#2f6f9f', unit: 'messages/s', values: [5000, 50] },
    { title: 'memory', colour: '#b3632f', unit: 'MiB', values: [200, Number.NaN] },
  ],
})

test('each value stands above its bar, and one that was not measured says so', () => {
  for (const text of ['>5,000<', '>50<', '>200<', '>not measured<', '>4 KiB<', '>1 MiB<'])
    assert.ok(chart.includes(text), text)
})

test('the highest bar of a panel is as high as the panel, the others in proportion', () => {
  const heights = [...chart.matchAll(/height="([\d.]+)" fill="#2f6f9f"/g)].map(match => Number(match[1]))
  assert.deepEqual(heights, [164, 1.6])
})

test('texts are escaped', () => {
  assert.ok(chart.includes('rate &amp; memory &lt;by&gt; size'))
  assert.ok(!chart.includes('<by>'))
})
