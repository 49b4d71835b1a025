/*
 * A stranger's text, made fit to be quoted in a sentence: only printable ASCII, and not too much of
 * it.
 */
#ifndef SIGNPOST_QUOTE_H
#define SIGNPOST_QUOTE_H

#define QUOTE_CHARS 64               /* of the text; what is longer ends in "..." */
#define QUOTE_SIZE (QUOTE_CHARS + 6) /* with the quotation marks, the dots and the NUL */

/* What a macro stands for, as a literal: for limits in sentences. */
#define QUOTE_MACRO(macro) QUOTE_WORD(macro)
#define QUOTE_WORD(word) #word

/* Returns `ret_quoted`. */
const char *quote_text(const char *text, char ret_quoted[QUOTE_SIZE]);

#endif
