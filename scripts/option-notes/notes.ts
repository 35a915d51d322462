/** The meanings of options, for docs/options.md. An option that acts has one: a missing row does not compile. */

export type Notes<Values> = { readonly [Name in keyof Values]: string }
