/** The options of `Partner "name" { }`. All of them are extensions. */

import { bool, filePath, line, listWhere } from './codec.ts'
import {
  alternativeDns,
  alternativeEmail,
  alternativeIp,
  alternativeUri,
  atLeastOne,
  distinguishedName,
  from,
  pins,
  senderDomain,
  until,
} from './codec-partner.ts'
import type { OptionTable, ScopeName } from './option-row.ts'
import type { PartnerValues } from './settings-partner.ts'

const partner: readonly ScopeName[] = ['partner']
const none = Object.freeze([])

export const partnerOptions: OptionTable<PartnerValues> = {
  issuer: { codec: atLeastOne(listWhere(distinguishedName)), default: none, scopes: partner },
  issuer_certificate: { codec: atLeastOne(listWhere(filePath)), default: none, scopes: partner },
  subject: { codec: atLeastOne(listWhere(distinguishedName)), default: none, scopes: partner },
  san_dns: { codec: atLeastOne(listWhere(alternativeDns)), default: none, scopes: partner },
  san_email: { codec: atLeastOne(listWhere(alternativeEmail)), default: none, scopes: partner },
  san_uri: { codec: atLeastOne(listWhere(alternativeUri)), default: none, scopes: partner },
  san_ip: { codec: atLeastOne(listWhere(alternativeIp)), default: none, scopes: partner },
  spki_pin: { codec: pins, default: none, scopes: partner },
  certificate_pin: { codec: pins, default: none, scopes: partner },
  valid_from: { codec: from, default: undefined, scopes: partner },
  valid_until: { codec: until, default: undefined, scopes: partner },
  sender_domains: { codec: atLeastOne(listWhere(senderDomain)), default: undefined, scopes: partner },
  sender_domains_exclusive: { codec: bool, default: false, scopes: partner },
  pathway: { codec: line, default: undefined, scopes: partner },
  relay: { codec: bool, default: false, scopes: partner },
}

/** What a certificate is recognised by. */
export const selectors = [
  'issuer',
  'issuer_certificate',
  'subject',
  'san_dns',
  'san_email',
  'san_uri',
  'san_ip',
  'spki_pin',
  'certificate_pin',
] as const satisfies readonly (keyof PartnerValues)[]
