/** Replaces a file by turns, until it is killed. Arguments: the file, and two texts by their octet and length. */

import { keepFile } from './keep-file.ts'

const [file = '', size = '0'] = process.argv.slice(2)
const texts = ['a', 'b'].map((octet) => octet.repeat(Number(size)))
process.stdout.write('begun\n')
for (let turn = 0; ; turn++) {
  const [before = '', after = ''] = turn % 2 === 0 ? texts : texts.toReversed()
  await keepFile(file, { before, after, mode: 0o600 })
}
