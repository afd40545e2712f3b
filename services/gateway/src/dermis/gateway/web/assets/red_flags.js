/** The rules of worker/core/red_flags.py on the answers, of the table that is made from them. */
export function redFlags(rules, answers) {
  const isMet = (need) => Object.entries(need).some(([field, values]) => [answers[field] ?? []].flat().some((answer) => values.includes(answer)));
  const raised = rules.filter(({ needs }) => needs.every(isMet)), flags = new Set(raised.map(({ flag }) => flag));
  return raised.filter(({ covered_by: other }) => !flags.has(other));
}
