// client/js/demo.html needs nothing that the policy of the index forbids.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const page = readFileSync(new URL("../../client/js/demo.html", import.meta.url), "utf8");

/** What stands in each element of this name. */
const contents = (name) =>
    [...page.matchAll(new RegExp(`<${name}\\b[^>]*>([^]*?)</${name}>`, "g"))].map((m) => m[1]);

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
