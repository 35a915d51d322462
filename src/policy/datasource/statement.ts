/** A query's text with the database's own placeholders, and the values in their order. */

import { replacePlaceholders } from '../../config/sql-placeholders.ts'
import { DatasourceError, type DbParameters, type DbValue } from './driver.ts'

export interface Statement {
  readonly text: string
  readonly values: readonly DbValue[]
}

/**
 * The same name is the same placeholder. `?` is one only where values come as a list: it is an operator in PostgreSQL.
 * @param sign what a number follows: `$1`, `?1`
 * @throws DatasourceError for a placeholder without a value
 */
export function bind(sql: string, parameters: DbParameters, sign: '$' | '?'): Statement {
  const values: DbValue[] = []
  const numbers = new Map<string | number, number>()
  const list = isList(parameters)
  const text = replacePlaceholders(sql, (name) => {
    if (list !== (typeof name === 'number')) {
      if (list) throw new DatasourceError(`the query has :${name}, and its values come without names`)
      return undefined
    }
    const value = valueOf(parameters, name)
    if (value === undefined) throw new DatasourceError(`the query's ${shown(name)} has no value`)
    let number = numbers.get(name)
    if (number === undefined) {
      number = values.push(value)
      numbers.set(name, number)
    }
    return `${sign}${number}`
  })
  return { text, values }
}

function valueOf(parameters: DbParameters, name: string | number): DbValue | undefined {
  if (isList(parameters)) return parameters[Number(name) - 1]
  return Object.hasOwn(parameters, name) ? parameters[name] : undefined
}

function shown(name: string | number): string {
  return typeof name === 'number' ? `placeholder ${name}` : `:${name}`
}

const isList = (parameters: DbParameters): parameters is readonly DbValue[] => Array.isArray(parameters)
