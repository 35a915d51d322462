/**
 * The process itself, by the names that Prometheus' client libraries share. Read when somebody looks, so that nothing
 * runs in between.
 */

import { readdirSync } from 'node:fs'
import { Gauge, type Registry } from 'prom-client'

export function addProcessMetrics(registry: Registry): void {
  const started = Date.now() / 1000 - process.uptime()
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    const registers = [registry]
    const made = new Gauge({
      name,
      help,
      registers,
      aggregator: name === 'process_start_time_seconds' ? 'min' : 'sum',
      collect: () => {
        const value = read()
        if (value !== undefined) made.set(value)
      },
    })
  }
  gauge('process_cpu_seconds_total', 'Processor time used, user and system', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_start_time_seconds', 'When the process began, in seconds since the epoch', () => started)
  gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
  gauge('process_open_fds', 'Open file descriptors', openDescriptors)
  gauge('nodejs_heap_size_used_bytes', 'Heap of JavaScript in use', () => process.memoryUsage().heapUsed)
  gauge('nodejs_external_memory_bytes', 'Memory outside the heap', () => process.memoryUsage().external)
}

function openDescriptors(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}
