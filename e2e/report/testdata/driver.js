// What a test needs to use a page as a person does. The finding is written into
// the page, from where the test reads it.
const problems = [];
addEventListener("error", (e) => problems.push(e.message));
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => problems.push(`${e.violatedDirective} ${e.blockedURI}`));
const all = (selector) => [...document.querySelectorAll(selector)];
const text = (selector) => document.querySelector(selector).textContent;
const visible = (element) => element.getClientRects().length > 0;
const rows = () => all("#table tbody tr").filter(visible).map((tr) => {
  const name = tr.querySelector("td.name").cloneNode(true);
  name.querySelectorAll(".note").forEach((note) => note.remove());
  return name.textContent.trim();
});
const click = (selector) => document.querySelector(selector).click();
const key = (name) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const type = (words) => {
  const search = document.querySelector("#search");
  search.value = words;
  search.dispatchEvent(new Event("input", { bubbles: true }));
};
const report = async (use) => {
  let finding;
  try { finding = await use(); } catch (e) { finding = { problems: [...problems, String(e)] }; }
  const pre = document.createElement("pre");
  pre.id = "finding";
  pre.textContent = JSON.stringify(finding);
  document.body.append(pre);
};
