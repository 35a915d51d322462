/** Counters, gauges, audit series and monitors, CIDR sets, files, the configuration. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { askConfiguration } from '../../src/config/ask.ts'
import { loadSettingsFromText } from '../../src/config/load.ts'
import { SharedStores } from '../../src/policy/lua/lib/stores.ts'
import { errorsOf, gateOf, prints } from './library.fixture.ts'
import { askMail, session } from './scripts.fixture.ts'

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'postern-lib-'))
  t.after(() => rm(path, { recursive: true }))
  return path
}

test('counters by path and by handle; they outlive a Lua state and a reload', async () => {
  const library = { stores: new SharedStores() }
  assert.deepEqual(
    await prints(
      `local c = msys.counter.open("/site/a", msys.counter.RELAXED) msys.counter.inc(c) msys.counter.add("/site/a", 4) c:inc() c:add(-1)
       print(msys.counter.read(c), c:read(), msys.counter.read("/site/a"), msys.counter.read("/none"), msys.type(c))
       msys.counter.reset("/site/b") msys.counter.inc("/site/b") c:reset() print(c:read()) msys.counter.unlink("/site/b") print(msys.counter.read("/site/b"))
       c:add(7)`,
      { library },
    ),
    ['5 5 5 0 counter', '0', '0'],
  )
  assert.deepEqual(await prints('print(msys.counter.read("/site/a"))', { library }), ['7'])
  assert.deepEqual(
    Object.values(
      await errorsOf([
        'msys.counter.inc("x")',
        'msys.counter.open({})',
        'msys.counter.add("/x")',
        'msys.counter.read()',
        'msys.counter.unlink(5)',
      ]),
    ),
    [
      "bad argument #1 to 'msys.counter.add' (a path that starts with / and has at most 256 octets expected)",
      "bad argument #1 to 'msys.counter.open' (string expected, got table)",
      "bad argument #2 to 'msys.counter.add' (number expected, got nil)",
      "bad argument #1 to 'msys.counter.read' (string expected, got nil)",
      "bad argument #1 to 'msys.counter.unlink' (a path that starts with / and has at most 256 octets expected)",
    ],
  )
  const [message] = Object.values(
    await errorsOf(['(function() for i = 1, 20000 do msys.counter.inc("/c/" .. i) end end)()']),
  )
  assert.equal(message, 'there are too many counters')
})

test('gauges forget after their time, and the oldest first', async () => {
  const clock = { now: 1_000_000 }
  const library = { now: () => clock.now, stores: new SharedStores() }
  const before = 'msys.gauge_cache.define("g", 2, 10)'
  const state =
    'print(msys.gauge_cache.get("g", "a"), msys.gauge_cache.get("g", "b"), msys.gauge_cache.get("g", "c"))'
  assert.deepEqual(
    await prints(
      `local g = msys.gauge_cache g.inc("g", "a") g.inc("g", "a") g.dec("g", "b") ${state} g.inc("g", "a") g.inc("g", "c") ${state} print(g.inc("g", "c")) g.remove_item("g", "c") ${state}`,
      { library, before },
    ),
    ['2 -1 0', '3 0 1', '2', '3 0 0'],
  )
  clock.now += 9999
  assert.deepEqual(await prints(state, { library, before }), ['3 0 0'])
  clock.now += 1
  assert.deepEqual(await prints(state, { library, before }), ['0 0 0'])
  assert.deepEqual(
    Object.values(
      await errorsOf([
        'msys.gauge_cache.inc("nope", "a")',
        'msys.gauge_cache.define("x", 0, 1)',
        'msys.gauge_cache.define("x", 1)',
      ]),
    ),
    [
      'bad argument #1 to \'msys.gauge_cache.inc\' (no cache "nope" is defined)',
      "bad argument #2 to 'msys.gauge_cache.define' (a number from 1 to 100000 expected)",
      "bad argument #3 to 'msys.gauge_cache.define' (number expected, got no value)",
    ],
  )
})

test('series count by text and by address, in windows of time', async () => {
  const clock = { now: 1_000_000_000 }
  const library = { now: () => clock.now, stores: new SharedStores() }
  const before =
    'local s = msys.audit_series s.define("t", "string", 60, 3) s.define("c", "cidr", 60, 3) s.define("six", "cidr_ipv6", 60, 3)'
  const add =
    'local s = msys.audit_series s.add("t", "k") s.add("t", { key = "k", count = 4 }) s.add("c", ac) s.add("c") s.add("c", "192.0.2.200") s.add("c", { key = "198.51.100.1", count = 2 }) s.add("six", "2001:db8::1")'
  const show =
    'local s = msys.audit_series print(s.count("t", "k"), s.count("c"), s.count("c", "/24"), s.count("c", "192.0.2.0/24"), s.count("c", "0.0.0.0/0"), s.count("six", "2001:db8::/32"), s.count("c", { startv = 0, endv = 2, key = "/24" }), s.count("t", { key = "k", startv = 1, endv = 9 }))'
  assert.deepEqual(await prints(`${add}\n${show}`, { library, before }), ['5 2 3 3 5 1 3 0'])
  clock.now += 60_000
  assert.deepEqual(
    await prints(`${show} s.add("c") ${show}`.replace('local s', 'local s'), { library, before }),
    ['0 0 0 0 0 0 3 5', '0 1 1 1 1 0 4 5'],
  )
  clock.now += 180_000
  assert.deepEqual(await prints(show, { library, before }), ['0 0 0 0 0 0 0 0'])
  assert.deepEqual(
    await prints(`${add} s.remove_item("t", "k") s.remove_item("c", ac) ${show}`, { library, before }),
    ['0 0 1 1 3 1 1 0'],
  )
  assert.deepEqual(
    Object.values(
      await errorsOf(
        [
          'msys.audit_series.add("nope", "x")',
          'msys.audit_series.add("t")',
          'msys.audit_series.add("c", "not an address")',
          'msys.audit_series.add("six", "192.0.2.1")',
          'msys.audit_series.count("c", "1.2.3.4/99")',
          'msys.audit_series.define("x", "other", 1, 1)',
          'msys.audit_series.define("x", "cidr", 1, 0)',
        ],
        { library, before },
      ),
    ),
    [
      'bad argument #1 to \'msys.audit_series.add\' (no series "nope" is defined)',
      "bad argument #2 to 'msys.audit_series.add' (a key expected)",
      "bad argument #2 to 'msys.audit_series.add' (an IP address expected)",
      "bad argument #2 to 'msys.audit_series.add' (the series holds IPv6 addresses)",
      "bad argument #2 to 'msys.audit_series.count' (an address or a block such as 192.0.2.0/24 expected)",
      "bad argument #2 to 'msys.audit_series.define' (cidr, cidr_ipv6, string expected)",
      "bad argument #4 to 'msys.audit_series.define' (a number from 1 to 10000 expected)",
    ],
  )
})

test('what a series cannot do is said in the panic log', async () => {
  assert.deepEqual(
    await prints('', {
      before:
        'msys.audit_series.define("p", "string", 60, 2, { persist = true, serialize = false, replicate = "cluster" }) msys.gauge_cache.define("r", 5, 5, true)',
    }),
    [
      'audit series "p": replicate is not built and does nothing',
      'audit series "p": persist is not built and does nothing',
      'gauge cache "r" is not replicated: that is not built',
    ],
  )
})

test('monitors count what the server tells, from when a script first asks', async () => {
  const stores = new SharedStores()
  const library = { stores, now: () => 1_000_000_000 }
  const show =
    'print(msys.audit.connections("60,2"), msys.audit.receptions("60,2", "/24"), msys.audit.rejections("60,2", { cidr = "192.0.2.0/24", endv = 1 }))'
  assert.deepEqual(await prints(show, { library }), ['0 0 0'])
  for (const what of ['connections', 'receptions', 'rejections'] as const) {
    stores.monitors.record(what, '192.0.2.7', 1_000_000_000)
    stores.monitors.record(what, '192.0.2.8', 1_000_000_000)
    stores.monitors.record(what, '2001:db8::1', 1_000_000_000)
  }
  assert.deepEqual(await prints(show, { library }), ['1 2 2'])
  const facts = {
    ...session(),
    count: ({ cidr }: { cidr: string }) => (cidr === 'x' ? undefined : cidr.length),
  }
  assert.deepEqual(
    await prints(
      'print(msys.audit.inbound_session_count("/24"), msys.audit.inbound_session_count("192.0.2.7", "SMTP"))',
      { facts },
    ),
    ['3 9'],
  )
  assert.deepEqual(
    Object.values(
      await errorsOf(
        [
          'msys.audit.connections("often")',
          'msys.audit.inbound_session_count("x")',
          'msys.audit.inbound_session_count("/24", "Control")',
        ],
        { facts },
      ),
    ),
    [
      'bad argument #1 to \'msys.audit.connections\' (a monitor is named "seconds,windows")',
      "bad argument #1 to 'msys.audit.inbound_session_count' (an address or a block such as 192.0.2.0/24 expected)",
      "bad argument #2 to 'msys.audit.inbound_session_count' (the only service that is counted here is SMTP)",
    ],
  )
})

const list = `# a comment
$SOA 3000 ns.example admin.example 0 600 300 86400 300
:127.0.0.4:Default $
192.0.2.0/24:127.0.0.2:Listed $
192.0.2.7
!192.0.2.8
10.1:3:short
198.51.100.1-9 :5:range
203.0.113.250-203.0.114.5
2001:db8::/32 :127.0.0.6:six $
not a line
1111::0000:
`

test('CIDR sets: empty, and from an rbldnsd file', async (t) => {
  const path = await folder(t)
  await writeFile(join(path, 'list'), list)
  const before = `msys.cidr.define("e", "empty") msys.cidr.define("d", { type = "empty", default_value = "127.0.0.0" })
    msys.cidr.define("r", { type = "rbldnsd", source = "${path}/list", default_value = false })
    msys.cidr.define("x", { type = "rbldnsd", source = "file://${path}/list", value = "txt", interpolate = true })`
  const asked = [
    '192.0.2.7',
    '192.0.2.8',
    '192.0.2.9',
    '10.1.200.1',
    '10.2.0.1',
    '198.51.100.9',
    '198.51.100.10',
    '203.0.113.255',
    '203.0.114.6',
    '2001:db8::5',
  ]
  const lines = await prints(
    `print(msys.cidr.query("e", "192.0.2.1"), msys.cidr.query("d", "192.0.2.1"), msys.cidr.query("r"))
     for _, a in ipairs({ ${asked.map((address) => `"${address}"`).join(', ')} }) do print(a, msys.cidr.query("r", a), msys.cidr.query("x", a)) end`,
    { before },
  )
  assert.deepEqual(lines.slice(2), [
    'nil 127.0.0.0 127.0.0.4',
    '192.0.2.7 127.0.0.4 Default 192.0.2.7',
    '192.0.2.8 false nil',
    '192.0.2.9 127.0.0.2 Listed 192.0.2.9',
    '10.1.200.1 127.0.0.3 short',
    '10.2.0.1 false nil',
    '198.51.100.9 127.0.0.5 range',
    '198.51.100.10 false nil',
    '203.0.113.255 127.0.0.4 Default 203.0.113.255',
    '203.0.114.6 false nil',
    '2001:db8::5 127.0.0.6 six 2001:db8::5',
  ])
  assert.match(lines[0] ?? '', /list: lines that cannot be read are skipped: 11, 12$/)
})

test('a CIDR set is read again when a script asks, or after its time; a broken file leaves the old one', async (t) => {
  const path = await folder(t)
  const file = join(path, 'list')
  await writeFile(file, '192.0.2.7:2:\n')
  const timers: [number, () => void][] = []
  const after = (milliseconds: number, call: () => void) => {
    timers.push([milliseconds, call])
    return () => undefined
  }
  const gate = await gateOf(
    'print(msys.cidr.query("r")) print(msys.cidr.reload("r")) print(msys.cidr.query("r"))',
    {
      before: `msys.cidr.define("r", { type = "rbldnsd", source = "${file}", refresh = 60 })`,
      library: { after },
    },
  )
  await writeFile(file, '192.0.2.7:3:\n')
  await askMail(gate)
  assert.deepEqual(gate.panics.splice(0), ['127.0.0.2', 'true', '127.0.0.3'])
  await rm(file)
  await askMail(gate)
  assert.equal(gate.panics[0], '127.0.0.3')
  assert.match(gate.panics[1] ?? '', /list: .*ENOENT.*what was read before stays$/)
  assert.match(gate.panics[2] ?? '', /^nil .*ENOENT/)
  assert.equal(gate.panics[3], '127.0.0.3')
  assert.deepEqual(
    timers.map(([milliseconds]) => milliseconds),
    [60_000],
  )
})

test('CIDR sets that cannot be made keep the script out', async () => {
  for (const [definition, expected] of [
    ['msys.cidr.define("r", "rbldnsd")', /a table with the field "source" expected/],
    ['msys.cidr.define("r", { type = "rbldnsd" })', /the field "source" is missing/],
    ['msys.cidr.define("r", { type = "rbldnsd", source = "/nowhere/at/all" })', /ENOENT/],
    ['msys.cidr.define("r", { type = "rbldnsd", source = "http://x/y" })', /only files can be read/],
    ['msys.cidr.define("r", { type = "datasource" })', /datasource is recognised but not implemented/],
    ['msys.cidr.define("r", { type = "other" })', /type empty or rbldnsd expected/],
    ['msys.cidr.define("r")', /string expected, got no value/],
  ] as const) {
    const gate = await gateOf('', { before: definition })
    assert.match(gate.diagnostics[0]?.message ?? '', expected)
    assert.match(gate.diagnostics[0]?.message ?? '', /gate\.lua:1: bad argument #2 to 'msys\.cidr\.define'/)
  }
  assert.deepEqual(
    Object.values(
      await errorsOf(
        ['msys.cidr.query("none")', 'msys.cidr.query("e", "x")', 'msys.cidr.define("n", "empty")'],
        {
          before: 'msys.cidr.define("e", "empty")',
        },
      ),
    ),
    [
      'bad argument #1 to \'msys.cidr.query\' (no CIDR object "none" is defined)',
      "bad argument #2 to 'msys.cidr.query' (an IP address expected)",
      'msys.cidr.define works only in init and while a script loads',
    ],
  )
})

test('readfile: a whole file, or nil and the reason', async (t) => {
  const path = await folder(t)
  await writeFile(join(path, 'data'), Buffer.from('one\0\xff\n', 'latin1'))
  await writeFile(join(path, 'huge'), Buffer.alloc(17 * 1_048_576))
  const lines = await prints(
    `local text = msys.readfile("${path}/data") print(#text, text == "one\\0\\255\\n", #msys.readfile("file://${path}/data"))
     print(msys.readfile("${path}/none")) print(msys.readfile("${path}")) print(msys.readfile("${path}/huge")) print(msys.readfile("http://x/"))
     print(msys.readfile("/dev/zero"))`,
  )
  assert.equal(lines[0], '6 true 6')
  assert.match(lines[1] ?? '', /^nil ENOENT/)
  assert.match(lines[2] ?? '', /^nil .*not a regular file$/)
  assert.match(lines[3] ?? '', /^nil .*longer than 16777216 octets$/)
  assert.equal(lines[4], 'nil http://x/: only files can be read')
  assert.match(lines[5] ?? '', /^nil \/dev\/zero: not a regular file$/)
  assert.deepEqual(await errorsOf(['msys.readfile()']), {
    'msys.readfile()': "bad argument #1 to 'msys.readfile' (string expected, got no value)",
  })
})

test('the configuration can be asked and not be changed', async () => {
  const { settings } = await loadSettingsFromText(
    `Hostname = "mx.example"
Spoolbase = "/tmp/spool"
Domain "slow.example" { Max_Outbound_Connections = 3 }
Pathway "strict" { TLS_Verify_Mode = "require" }
ESMTP_Listener {
  Listen "127.0.0.1:2525" { TLS_Verify_Mode = "none" Peer "10.0.0.0/8" { TLS_Verify_Mode = "require" } }
}
`,
    '/etc/postern/gate.conf',
  )
  assert.ok(settings !== undefined)
  const library = { config: (words: readonly string[]) => askConfiguration(settings, words) }
  assert.deepEqual(
    await prints(
      `print(msys.config("get", "hostname")) print(msys.config("eval", "tls_verify_mode"))
       print((msys.config("get", "esmtp_listener", "listen", "127.0.0.1:2525", "peer", "10.1.1.1", "TLS_Verify_Mode")))
       print((msys.config("get", "listen", "*127.0.0.1:2525", "pathway", "strict", "tls_verify_mode")))
       print(type(msys.config("get", "idle_time")), (msys.config("get", "spoolbase")))`,
      { library },
    ),
    [
      'mx.example Hostname = "mx.example"',
      'none TLS_Verify_Mode = "none"',
      'require',
      'require',
      'number "/tmp/spool"',
    ],
  )
  assert.deepEqual(
    Object.values(
      await errorsOf(
        [
          'msys.config("set", "hostname", "x")',
          'msys.config("get")',
          'msys.config("get", "hostnam")',
          'msys.config("get", "binding", "x", "hostname")',
          'msys.config("get", "listen", "1.2.3.4:5", "tls_verify_mode")',
        ],
        { library },
      ),
    ),
    [
      `bad argument #1 to 'msys.config' ("get" or "eval": a script cannot change the configuration)`,
      "bad argument #2 to 'msys.config' (the name of an option expected)",
      'msys.config: there is no option "hostnam" that acts; did you mean "Hostname"?',
      'msys.config: "binding" is no scope that can be asked about',
      'msys.config: there is no Listen "1.2.3.4:5"',
    ],
  )
})
