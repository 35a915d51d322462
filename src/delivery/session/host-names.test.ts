import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificateNames, referenceName } from './host-names.ts'

const nothing = { sanDns: [], sanIp: [], sanEmail: [], sanUri: [], subjectCn: '' }
const dns = (...sanDns: readonly string[]) => ({ ...nothing, sanDns })

test('a DNS name is compared without case and without the final dot', () => {
  assert.ok(certificateNames(dns('MX.Example.test.'), ['mx.example.TEST.'], false))
  assert.ok(!certificateNames(dns('mx.example.test.evil.test'), ['mx.example.test'], false))
  assert.ok(!certificateNames(dns('x.mx.example.test'), ['mx.example.test'], false))
})

test('any of the names of the host will do', () => {
  assert.ok(certificateNames(dns('example.test'), ['mx.example.test', 'example.test'], false))
  assert.ok(!certificateNames(dns('example.test'), [], false))
})

test('a wildcard is the whole leftmost label and stands for exactly one', () => {
  assert.ok(certificateNames(dns('*.example.test'), ['mx.example.test'], false))
  for (const pattern of [
    '*',
    '*.test',
    '*.*.test',
    'm*.example.test',
    'mx.*.test',
    '*mx.example.test',
    '*.mx.example.test',
  ]) {
    assert.ok(!certificateNames(dns(pattern), ['mx.example.test'], false), pattern)
  }
  assert.ok(!certificateNames(dns('*.test'), ['example.test'], false), 'nobody owns a whole TLD')
  assert.ok(!certificateNames(dns('*.example.test'), ['a.mx.example.test'], false))
  assert.ok(!certificateNames(dns('*.example.test'), ['example.test'], false))
})

test('an international name is compared in its xn-- form', () => {
  assert.equal(referenceName('Bücher.example'), 'xn--bcher-kva.example')
  assert.ok(certificateNames(dns('xn--bcher-kva.example'), ['bücher.example'], false))
  assert.equal(referenceName('a b.example'), undefined)
  assert.equal(referenceName('*.example.test'), undefined)
})

test('an address is compared with addresses alone, in whatever form it is written', () => {
  const certificate = { ...nothing, sanIp: ['2001:db8::1', '192.0.2.1'] }
  assert.ok(certificateNames(certificate, ['2001:DB8:0:0::1'], false))
  assert.ok(certificateNames(certificate, ['192.0.2.1'], false))
  assert.ok(!certificateNames(certificate, ['192.0.2.2'], false))
  assert.ok(!certificateNames({ ...dns('192.0.2.1'), subjectCn: '192.0.2.1' }, ['192.0.2.1'], true))
})

test('a CN counts only where it may and the certificate has no other name, and is no wildcard', () => {
  const old = { ...nothing, subjectCn: 'MX.example.test' }
  assert.ok(certificateNames(old, ['mx.example.test'], true))
  assert.ok(!certificateNames(old, ['mx.example.test'], false))
  for (const more of [
    { sanDns: ['x.test'] },
    { sanIp: ['192.0.2.1'] },
    { sanEmail: ['a@b'] },
    { sanUri: ['x:y'] },
  ]) {
    assert.ok(!certificateNames({ ...old, ...more }, ['mx.example.test'], true))
  }
  assert.ok(!certificateNames({ ...nothing, subjectCn: '*.example.test' }, ['mx.example.test'], true))
})
