import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { formatDate } from './date.ts'

const zone = process.env['TZ']
after(() => {
  if (zone === undefined) delete process.env['TZ']
  else process.env['TZ'] = zone
})

const instant = Date.UTC(2006, 2, 8, 21, 21, 51)
const written = {
  UTC: 'Wed, 08 Mar 2006 21:21:51 +0000',
  'America/New_York': 'Wed, 08 Mar 2006 16:21:51 -0500',
  'Asia/Kolkata': 'Thu, 09 Mar 2006 02:51:51 +0530',
  'America/St_Johns': 'Wed, 08 Mar 2006 17:51:51 -0330',
}

for (const [name, text] of Object.entries(written)) {
  test(`a date is written in local time: ${name}`, () => {
    process.env['TZ'] = name
    assert.equal(formatDate(instant), text)
    assert.equal(new Date(text).getTime(), instant)
  })
}
