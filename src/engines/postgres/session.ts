// Settings of the engine's own sessions. The statements are planned once per session, whatever the tables hold by then,
// and must be the right ones when a backlog of millions has built up since: by index, row by row.

export const sessionSettings: Readonly<Record<string, string>> = {
  // Positions and fences are read after waiting for a lock, and must be those of now.
  default_transaction_isolation: 'read committed',
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  // A process that freezes while it is given messages leaves them to others: the server waits for it to read, with all locks, for ever
  // otherwise. By then the process counts the statement as unanswered.
  tcp_user_timeout: '30000',
  // The penalty on what is off makes plans look expensive enough to compile.
  jit: 'off',
}

/** The same for the plans inside a function, whose session may be anyone's. */
export const functionSettings: string = Object.entries(sessionSettings)
  .filter(([name]) => name !== 'default_transaction_isolation' && name !== 'tcp_user_timeout')
  .map(([name, value]) => `set ${name} = ${value}`)
  .join(' ')
