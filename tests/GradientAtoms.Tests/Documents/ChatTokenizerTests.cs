using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Documents;

/// <summary>Masks with a tokenizer that has a token for each character, so that one can see them.</summary>
public sealed class ChatTokenizerTests
{
    private const string Brackets = "{% for m in messages %}[{{ m.role[0] }}]{{ m.content }};{% endfor %}{% if add_generation_prompt %}[a]{% endif %}";

    /// <summary>Writes a thought before the last turn only, as reasoning models' templates do.</summary>
    private const string Rewriting = "{% for m in messages %}[{{ m.role[0] }}]{% if loop.last and m.role == 'assistant' %}*{% endif %}{{ m.content }};{% endfor %}{% if add_generation_prompt %}[a]{% endif %}";

    [Fact]
    public void Every_assistant_turn_is_trained_with_its_end_and_nothing_else_is()
    {
        var document = Tokenize(Brackets, Chat("u:hi", "a:yo", "u:so?", "a:no")).Documents.Single();
        Assert.Equal("[u]hi;[a]yo;[u]so?;[a]no;", Text(document));
        Assert.Equal("yo;no;", Trained(document));
    }

    [Fact]
    public void The_references_mask_trains_later_questions_too_and_is_the_same_for_one_turn()
    {
        var options = new ChatTokenizerOptions { TrainsAllAfterFirstPrompt = true };
        Assert.Equal("a]yo;[u]so?;[a]no;", Trained(Tokenize(Brackets, Chat("u:hi", "a:yo", "u:so?", "a:no"), options).Documents.Single()));
        Assert.Equal("yo;", Trained(Tokenize(Brackets, Chat("u:hi", "a:yo"), options).Documents.Single()));
        Assert.NotNull(Tokenize(Brackets, Chat("u:hi"), options).Rejection);
    }

    [Fact]
    public void A_turn_that_the_row_leaves_out_of_the_loss_is_not_trained()
    {
        var chat = Chat("u:hi", "a:yo", "u:so?", "a:no");
        var document = Tokenize(Brackets, chat with { Messages = [chat.Messages[0], chat.Messages[1] with { Train = false }, .. chat.Messages.Skip(2)] }).Documents.Single();
        Assert.Equal("no;", Trained(document));
    }

    [Fact]
    public void A_template_that_rewrites_earlier_turns_gives_one_document_a_turn()
    {
        var row = Tokenize(Rewriting, Chat("u:hi", "a:yo", "u:so?", "a:no"));
        Assert.True(row.IsRewritten);
        Assert.Equal(["x#1", "x#3"], row.Documents.Select(document => document.Id));
        Assert.Equal(["[u]hi;[a]*yo;", "[u]hi;[a]yo;[u]so?;[a]*no;"], row.Documents.Select(Text));
        Assert.Equal(["*yo;", "*no;"], row.Documents.Select(Trained));
    }

    [Fact]
    public void A_template_that_rewrites_earlier_turns_can_be_refused()
    {
        var row = Tokenize(Rewriting, Chat("u:hi", "a:yo", "u:so?", "a:no"), new() { RewrittenTurns = RewrittenTurns.Reject });
        Assert.Empty(row.Documents);
        Assert.Contains("rewrites", row.Rejection, StringComparison.Ordinal);
    }

    [Fact]
    public void A_template_that_rewrites_is_no_trouble_where_there_is_one_turn()
    {
        var row = Tokenize(Rewriting, Chat("u:hi", "a:yo"));
        Assert.False(row.IsRewritten);
        Assert.Equal("x", row.Documents.Single().Id);
        Assert.Equal("*yo;", Trained(row.Documents[0]));
    }

    [Fact]
    public void A_token_that_spans_prompt_and_answer_is_trained_whole()
    {
        // "]y" is one token with the answer, and "]" another without it: the common prefix ends before it.
        int[] Merging(string text, bool special) => [.. text.Replace("]y", "\u0001", StringComparison.Ordinal).Select(letter => (int)letter)];
        var document = new ChatTokenizer(Merging, ChatTemplate.Parse(Brackets, "test"), NoTokens).Tokenize(Chat("u:hi", "a:yo")).Documents.Single();
        Assert.Equal("\u0001o;", Trained(document));
    }

    [Fact]
    public void Long_documents_are_cut_at_the_end_and_the_loss_is_told()
    {
        var document = Tokenize(Brackets, Chat("u:hi", "a:yo"), new() { MaxTokens = 10 }).Documents.Single();
        Assert.Equal("[u]hi;[a]y", Text(document));
        Assert.Equal("y", Trained(document));
        Assert.Equal(2, document.TruncatedTokens);
    }

    [Fact]
    public void A_document_whose_answer_is_cut_off_is_rejected_with_the_reason()
    {
        var row = Tokenize(Brackets, Chat("u:hi", "a:yo"), new() { MaxTokens = 9 });
        Assert.Empty(row.Documents);
        Assert.Contains("first 9 tokens", row.Rejection, StringComparison.Ordinal);
    }

    [Fact]
    public void Plain_text_is_trained_but_for_its_first_token_and_takes_the_tokenizers_own_special_tokens()
    {
        int[] WithStart(string text, bool special) => special ? ['^', .. text.Select(letter => (int)letter)] : throw new InvalidOperationException("plain text takes special tokens");
        var document = new ChatTokenizer(WithStart, null, NoTokens).Tokenize(new("x", 1) { Text = "abc" }).Documents.Single();
        Assert.Equal("^abc", Text(document));
        Assert.Equal("abc", Trained(document));
    }

    [Fact]
    public void A_text_of_one_token_has_nothing_to_train_on()
    {
        Assert.NotNull(new ChatTokenizer(Letters, null, NoTokens).Tokenize(new("x", 1) { Text = "a" }).Rejection);
        Assert.NotNull(new ChatTokenizer((_, _) => [], null, NoTokens).Tokenize(new("x", 1) { Text = "a" }).Rejection);
    }

    [Fact]
    public void A_chat_without_a_template_says_how_to_give_one()
    {
        var error = Assert.Throws<ChatTemplateException>(() => new ChatTokenizer(Letters, null, NoTokens).Tokenize(Chat("u:hi", "a:yo")));
        Assert.Equal("GA2207", error.Code);
        Assert.Contains("--chat-template FILE", error.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_template_refuses_is_a_rejected_row_and_the_rest_goes_on()
    {
        const string picky = "{% if messages[0].role != 'user' %}{{ raise_exception('users first') }}{% endif %}" + Brackets;
        var tokenizer = new ChatTokenizer(Letters, ChatTemplate.Parse(picky, "test"), NoTokens);
        var set = tokenizer.TokenizeAll([Chat("a:yo", "u:hi") with { Line = 7 }, Chat("u:hi", "a:yo")], "data.jsonl");
        Assert.Equal("the chat template refuses it: users first", set.Rejected.Single().Reason);
        Assert.Equal(7, set.Rejected.Single().Line);
        Assert.Single(set.Documents);
        Assert.Equal(12, set.TokenCount);
        Assert.Equal(3, set.TrainedCount);
    }

    [Fact]
    public void Splits_and_cuts_are_counted()
    {
        var tokenizer = new ChatTokenizer(Letters, ChatTemplate.Parse(Rewriting, "test"), NoTokens, new() { MaxTokens = 22 });
        var set = tokenizer.TokenizeAll([Chat("u:hi", "a:yo", "u:s", "a:no"), Chat("u:hi", "a:yo")], "data.jsonl");
        Assert.Equal(1, set.SplitCount);
        Assert.Equal(3, set.Documents.Count);
        Assert.Equal(1, set.TruncatedCount);
        Assert.Equal("[u]hi;[a]yo;[u]s;[a]*no;".Length - 22, set.TruncatedTokens);
    }

    [Fact]
    public void A_turn_of_a_split_chat_that_is_cut_off_is_listed()
    {
        var tokenizer = new ChatTokenizer(Letters, ChatTemplate.Parse(Rewriting, "test"), NoTokens, new() { MaxTokens = 20 });
        var set = tokenizer.TokenizeAll([Chat("u:hi", "a:yo", "u:s", "a:no") with { Line = 4 }], "data.jsonl");
        Assert.Equal("x#1", set.Documents.Single().Id);
        Assert.Equal(4, set.Rejected.Single().Line);
        Assert.Contains("x#3", set.Rejected.Single().Reason, StringComparison.Ordinal);
    }

    private static readonly Dictionary<string, string> NoTokens = new(StringComparer.Ordinal);

    private static int[] Letters(string text, bool special) => [.. text.Select(letter => (int)letter)];

    private static TokenizedRow Tokenize(string template, Document document, ChatTokenizerOptions? options = null) =>
        new ChatTokenizer(Letters, ChatTemplate.Parse(template, "test"), NoTokens, options).Tokenize(document);

    private static Document Chat(params string[] turns) => new("x", 1)
    {
        Messages = [.. turns.Select(turn => new ChatMessage(turn[0] == 'u' ? "user" : "assistant", turn[2..]))],
    };

    private static string Text(TokenizedDocument document) => string.Concat(document.Tokens.Select(token => (char)token));

    private static string Trained(TokenizedDocument document) => string.Concat(document.Tokens.Where((_, index) => document.Trained[index]).Select(token => (char)token));
}
