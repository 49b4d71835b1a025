// client/js/demo.html works under the policy that it names itself, and needs nothing from outside.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";

const page = readFileSync(new URL("../../client/js/demo.html", import.meta.url), "utf8");
const policy = page.match(/http-equiv="Content-Security-Policy" content="([^"]*)"/)[1];
const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** What stands in each element of this name. */
const contents = (name) =>
    [...page.matchAll(new RegExp(`<${name}\\b[^>]*>([^]*?)</${name}>`, "g"))].map((m) => m[1]);

for (const [element, directive] of [["script", "script-src"], ["style", "style-src"]])
    test(`the policy has the hash of the one ${element}`, () => {
        const [content, ...more] = contents(element);
        assert.deepEqual(more, []);
        const sources = policy.match(new RegExp(`${directive} ([^;]*)`))[1].split(" ");
        assert.ok(sources.includes(hash(content)), `${directive} needs ${hash(content)}`);
    });

test("the policy allows nothing else", () => {
    assert.match(policy, /^default-src 'none';/);
    assert.doesNotMatch(policy, /unsafe|\*|http/);
});

test("nothing in the page would need more", () => {
    const [script] = contents("script");
    const markup = page.replace(script, "").replace(contents("style")[0], "");
    assert.doesNotMatch(markup, / on[a-z]+=/, "a handler in the markup");
    assert.doesNotMatch(markup, / style=/, "a style in the markup");
    assert.doesNotMatch(page, /https?:|src=|url\(/, "something from elsewhere");
    assert.deepEqual([...script.matchAll(/from "([^"]*)"/g)].map((m) => m[1]), ["/signpost.js"]);
    assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval/);
});

test("every input has a name that is read out", () => {
    for (const [input] of page.matchAll(/<input[^>]*>/g)) {
        const labelled = /aria-label=|hidden/.test(input) ||
            contents("label").some((label) => label.includes(input));
        assert.ok(labelled, input);
    }
});
