/** The SASL mechanisms that there are here, by their registered names. */

export type MechanismName = 'PLAIN' | 'LOGIN' | 'CRAM-MD5' | 'DIGEST-MD5' | 'EXTERNAL'
