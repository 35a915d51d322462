/** One line of meaning for every option of SPF, DKIM, ARC and DMARC. */

import type {
  CheckSettings,
  OpendkimSettings,
  SigningValues,
  SpfSettings,
} from '../../src/config/settings-authenticity.ts'
import type { Notes } from './notes.ts'

export const spfNotes: Notes<Omit<SpfSettings, 'name' | 'at'>> = {
  context_variable: 'key of the message’s context that holds the result',
  add_headers: 'whether the `Received-SPF` field is added',
  add_authentication_results: 'whether the result stands in `Authentication-Results`',
  timeout: '+ seconds for all questions to the DNS; then the result is `temperror`',
}

export const opendkimNotes: Notes<Pick<OpendkimSettings, 'validate' | 'timeout'>> = {
  validate: '+ whether the signatures of every message are verified',
  timeout: '+ seconds for all questions to the DNS about one message, those of DMARC and ARC included',
}

export const signingNotes: Notes<SigningValues> = {
  base_domain: 'the domain that signs (`d=`) instead of the author’s: one that this lies in',
  selector: 'the name under which the public key stands in the DNS; required, here or there',
  key: 'the private key, PEM, RSA or (+) Ed25519; `%{d}` is the domain that signs, `%{s}` the selector; required',
  digest: '`rsa-sha256`, or (+) `ed25519-sha256`; by default what fits the key. `rsa-sha1` is an error',
  header_canon: '`simple` or `relaxed` (differs: Momentum’s default is `simple`, which a new fold breaks)',
  body_canon: 'likewise',
  headerlist:
    'names of the fields that are signed, each as often as it is there; From is always among them (differs: Momentum has no default)',
  oversign_headerlist:
    'fields that are signed once more than they are there, so that nobody can add one (differs: Momentum has no default)',
  skip_headerlist: 'fields of the lists above that are not signed',
  lifetime: 'hours for which a signature holds; 0 = for ever',
  sign_condition:
    'the key of the context without which nothing is signed; `none`: everything is, also mail of strangers (differs: that is Momentum’s default)',
  body_length_limit: 'only `false`: with `l=` anybody could add to the body',
}

export const openarcNotes: Notes<Pick<CheckSettings, 'validate'>> = {
  validate: '+ whether the chain of every message is verified',
}

export const dmarcNotes: Notes<Pick<CheckSettings, 'validate'>> = {
  validate: 'whether the policy of the author’s domain is looked at for every message',
}
