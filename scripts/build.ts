/**
 * Makes the folder that is published: `node scripts/build.ts [FOLDER]`, by default `dist/package`.
 *
 *   npm run build && npm publish dist/package
 *
 * It holds JavaScript and declarations instead of TypeScript, because Node strips no types inside node_modules, and a
 * package.json without what only a checkout needs: development tools, and the Node that `npm ci` brings along.
 */

import { execFileSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
/** what the package has beside the program */
const extras = ['bin', 'contrib', 'docs', 'examples', 'CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md']

/** @param flags of the compiler, besides those of tsconfig.build.json */
export function buildPackage(folder: string, ...flags: readonly string[]): void {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const compiler = path.join(root, 'node_modules', '.bin', 'tsc')
  const project = path.join(root, 'tsconfig.build.json')
  execFileSync(compiler, ['-p', project, '--outDir', path.join(folder, 'dist'), ...flags], {
    stdio: 'inherit',
  })
  copyAssets(path.join(folder, 'dist'))
  for (const name of extras) cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest(), undefined, 2)}\n`)
}

/** Whatever lies between the sources and is no TypeScript, such as Lua; declarations that are written by hand too. */
function copyAssets(dist: string): void {
  const src = path.join(root, 'src')
  for (const file of globSync('**/*.*', { cwd: src, exclude: ['**/*.md'] })) {
    if (file.endsWith('.ts') && !file.endsWith('.d.ts')) continue
    cpSync(path.join(src, file), path.join(dist, file))
  }
}

function manifest(): Record<string, unknown> {
  const whole = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Record<string, unknown>
  const checkoutOnly = ['private', 'scripts', 'devDependencies', 'optionalDependencies']
  return {
    ...Object.fromEntries(Object.entries(whole).filter(([name]) => !checkoutOnly.includes(name))),
    exports: {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './package.json': './package.json',
    },
    files: ['dist', ...extras],
  }
}

if (import.meta.main) buildPackage(path.resolve(process.argv[2] ?? path.join(root, 'dist', 'package')))
