import { expect, test } from 'vitest'
import { csvOf } from './csv'
import { bodyOf, freshPlan, isComplete } from './plan'

const words = { place: 'place', prize: 'prize', name: 'name', account: 'account', entry: 'entry', claimed: 'claimed', yes: 'yes', no: 'no' }

test('what a spreadsheet reads is what was meant', () => {
  const winner = (name: string, claimed = false) => ({ n: 4, user_id: '9', name, prize: 0, claimed })
  const csv = csvOf({ prizes: [{ name: 'tea, "green"', count: 3 }] }, [winner('小明', true), winner('=1+1'), winner('@x')], words)
  expect(csv).toBe('\uFEFFplace,prize,name,account,entry,claimed\r\n1,"tea, ""green""",小明,9,5,yes\r\n2,"tea, ""green""",\'=1+1,9,5,no\r\n3,"tea, ""green""",\'@x,9,5,no\r\n')
})

test('a form becomes what is sent', () => {
  const plan = { ...freshPlan(), title: ' Tea ', prizes: [{ name: ' cup ', count: 2 }], minutes: 'own' as const, ownMinutes: 0.5, keyword: ' 冲 ', posted: true }
  expect(bodyOf(plan)).toEqual({ title: 'Tea', prizes: [{ name: 'cup', count: 2 }], keyword: '冲', posted: true, claim_s: 86_400, duration_s: 30, test: false })
  expect(isComplete(bodyOf(plan))).toBe(true)
  // There is no chat before a broadcast.
  expect(bodyOf({ ...plan, test: true })).toMatchObject({ keyword: null, posted: false, test: true })
  for (const wrong of [{ title: ' ' }, { ownMinutes: '' as const }, { prizes: [{ name: '', count: 1 }] }, { prizes: [{ name: 'x', count: '' as const }] }, { prizes: [{ name: 'x', count: 1.5 }] }]) {
    expect(isComplete(bodyOf({ ...plan, ...wrong })), JSON.stringify(wrong)).toBe(false)
  }
})
