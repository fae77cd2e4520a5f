// How the page looks: light or dark as the reader's system is, lines told apart by colour and by dashes.

/** Told apart by most kinds of colour blindness (Okabe and Ito), dark and light. */
const light = ['#0072b2', '#d55e00', '#007a5e', '#aa3f86', '#6b5c00', '#333333', '#4a8fc0']
const dark = ['#56b4e9', '#ff9248', '#2cc79b', '#e08fc0', '#e5d34b', '#dddddd', '#9ccbe8']
const dashes = ['none', '7 3', '2 3', '10 3 2 3', '4 2', '12 4', '1 2']

const colours = (of: readonly string[]) => of.map((colour, index) => `--l${index}:${colour}`).join(';')

export const style: string = `
:root{color-scheme:light dark;--ink:#1c1c1e;--dim:#5c5f66;--paper:#fff;--edge:#d5d8dd;--soft:#f3f5f8;--warn:#8a4b00;${colours(light)}}
@media (prefers-color-scheme:dark){:root{--ink:#ececf0;--dim:#a5a9b3;--paper:#16181c;--edge:#3a3e46;--soft:#20242b;--warn:#ffb866;${colours(dark)}}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:56rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.5rem 0 .5rem}
p{margin:.4rem 0}.dim,figcaption{color:var(--dim)}.doubt{color:var(--warn)}
.answer{background:var(--soft);border-left:4px solid var(--l0);padding:.8rem 1rem;margin:1rem 0}.answer strong{font-size:1.15rem}
pre{background:var(--soft);padding:.8rem 1rem;overflow-x:auto;font-size:.9rem}
figure{margin:0}figure>svg{width:100%;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:var(--dim)}svg .title{fill:var(--ink)}
.grid{stroke:var(--edge);stroke-width:1;fill:none}.axis{stroke:var(--dim);fill:none}
.line{fill:none;stroke-width:2.2;stroke-linejoin:round}
${dashes.map((dash, index) => `.l${index}{stroke:var(--l${index});stroke-dasharray:${dash}}`).join('')}
.mark circle{fill:var(--paper);stroke:var(--ink);stroke-width:2.5}.mark text{fill:var(--ink);font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:4px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;padding:0;margin:.3rem 0;font-size:.9rem}
.legend svg{width:28px;height:8px;margin-right:.4rem;vertical-align:middle}
summary{cursor:pointer;color:var(--dim);margin:.4rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--edge);white-space:nowrap}.n{text-align:right}
th{font-weight:600}
`
