using System.Globalization;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Text.Documents;

/// <summary>Turns documents into token ids with the mask of the tokens that are trained on.</summary>
/// <remarks>
/// The mask of an assistant turn is what remains of "everything up to and with the turn" after the longest common token
/// prefix with "everything before, with the generation prompt": the role's header is not trained on, the end of the turn is.
/// </remarks>
public sealed class ChatTokenizer
{
    private readonly Func<string, bool, int[]> encode;
    private readonly ChatTemplate? template;
    private readonly ChatTokenizerOptions options;
    private readonly ChatTemplateContext context;

    /// <summary>Makes one.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="template">Null where there is none: chats then fail with GA2207, plain text works.</param>
    /// <param name="specialTokens">By name, for the template.</param>
    /// <param name="options">Null for the defaults.</param>
    public ChatTokenizer(Tokenizer tokenizer, ChatTemplate? template, IReadOnlyDictionary<string, string> specialTokens, ChatTokenizerOptions? options = null)
        : this((tokenizer ?? throw new ArgumentNullException(nameof(tokenizer))).Encode, template, specialTokens, options)
    {
    }

    /// <summary>Makes one.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="template">Null where there is none: chats then fail with GA2207, plain text works.</param>
    /// <param name="specialTokens">The tokenizer's; those that are null are undefined in the template.</param>
    /// <param name="options">Null for the defaults.</param>
    public ChatTokenizer(Tokenizer tokenizer, ChatTemplate? template, SpecialTokens specialTokens, ChatTokenizerOptions? options = null)
        : this(tokenizer, template, ByName(specialTokens), options)
    {
    }

    /// <summary>Makes one on anything that encodes text.</summary>
    /// <param name="encode">Text, and whether the tokenizer adds its own special tokens → token ids.</param>
    /// <param name="template">Null where there is none: chats then fail with GA2207, plain text works.</param>
    /// <param name="specialTokens">By name, for the template.</param>
    /// <param name="options">Null for the defaults.</param>
    public ChatTokenizer(Func<string, bool, int[]> encode, ChatTemplate? template, IReadOnlyDictionary<string, string> specialTokens, ChatTokenizerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(encode);
        ArgumentNullException.ThrowIfNull(specialTokens);
        this.encode = encode;
        this.template = template;
        this.options = options ?? new();
        ArgumentOutOfRangeException.ThrowIfLessThan(this.options.MaxTokens, 2, nameof(options));
        context = new() { SpecialTokens = specialTokens, Variables = this.options.Variables, Now = this.options.Now };
    }

    /// <summary>Tokenises one document.</summary>
    /// <param name="document">A chat or plain text.</param>
    /// <exception cref="ChatTemplateException">GA2205: the template went over a limit. GA2207: a chat, and no template.</exception>
    public TokenizedRow Tokenize(Document document)
    {
        ArgumentNullException.ThrowIfNull(document);
        if (document.Text is { } text)
        {
            var tokens = encode(text, true);
            var trained = new bool[tokens.Length];
            trained.AsSpan(Math.Min(1, tokens.Length)).Fill(true);
            return Finish([Cut(document, document.Id, tokens, trained)], isRewritten: false);
        }

        if (template is null)
        {
            throw TemplateErrors.Missing($"document {document.Id}");
        }

        try
        {
            return TokenizeChat(document);
        }
        catch (ChatTemplateException fault) when (fault.Code == TemplateErrors.OverLimit)
        {
            // A template without an end has none for any document, and takes a second to find out for each.
            throw TemplateErrors.Over(fault, document.Id);
        }
        catch (ChatTemplateException refusal)
        {
            return Rejected(refusal.IsRaisedByTemplate ? $"the chat template refuses it: {refusal.Problem}" : $"the chat template fails on it ({refusal.Message})", isRewritten: false);
        }
    }

    /// <summary>Tokenises documents and counts what was lost.</summary>
    /// <param name="documents">In the order wanted.</param>
    /// <param name="file">The data file, for the rejected rows.</param>
    /// <param name="progress">Documents done, documents in all.</param>
    /// <param name="cancellationToken">Looked at once a document.</param>
    /// <exception cref="ChatTemplateException">GA2205: the template went over a limit. GA2207: a chat, and no template.</exception>
    public TokenizedSet TokenizeAll(IReadOnlyList<Document> documents, string file, IProgress<(int Done, int Total)>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        var tokenized = new List<TokenizedDocument>(documents.Count);
        var losses = new TokenizationLosses(file);
        for (var index = 0; index < documents.Count; index++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            tokenized.AddRange(Tokenize(documents[index], losses));
            progress?.Report((index + 1, documents.Count));
        }

        return new(tokenized, losses.Rejected, losses.SplitCount);
    }

    /// <summary>Tokenises one document of many and notes what was lost.</summary>
    /// <param name="document">A chat or plain text.</param>
    /// <param name="losses">What was lost of all of them.</param>
    /// <returns>Its tokens: of one document, of several where it was split by turn, of none where it was rejected.</returns>
    /// <exception cref="ChatTemplateException">GA2205: the template went over a limit. GA2207: a chat, and no template.</exception>
    public IReadOnlyList<TokenizedDocument> Tokenize(Document document, TokenizationLosses losses)
    {
        ArgumentNullException.ThrowIfNull(losses);
        var row = Tokenize(document);
        if (row.Rejection is { } reason)
        {
            losses.Reject(document.Line, reason);
        }
        else if (row.IsRewritten)
        {
            losses.SplitCount++;
        }

        foreach (var id in row.LostTurns)
        {
            losses.Reject(document.Line, $"of the split chat, {id} has {NothingTrained()}");
        }

        return row.Documents;
    }

    private TokenizedRow TokenizeChat(Document document)
    {
        var messages = document.Messages;
        var whole = Encode(document, messages.Count, withPrompt: false);
        if (options.TrainsAllAfterFirstPrompt)
        {
            var prompt = Encode(document, messages.Where(message => message.Role != "assistant"), withPrompt: true);
            return Finish([Cut(document, document.Id, whole, MaskFrom(whole.Length, prompt.AsSpan().CommonPrefixLength(whole)))], isRewritten: false);
        }

        var trained = new bool[whole.Length];
        var turns = new List<(int Turn, int[] Tokens, int Start)>();
        var isRewritten = false;
        for (var turn = 0; turn < messages.Count; turn++)
        {
            if (messages[turn] is not { Role: "assistant", Train: true })
            {
                continue;
            }

            var before = Encode(document, turn, withPrompt: true);
            var with = turn == messages.Count - 1 ? whole : Encode(document, turn + 1, withPrompt: false);
            var start = before.AsSpan().CommonPrefixLength(with);
            turns.Add((turn, with, start));
            if (whole.AsSpan().StartsWith(with))
            {
                trained.AsSpan(start..with.Length).Fill(true);
            }
            else
            {
                isRewritten = true;
            }
        }

        if (!isRewritten)
        {
            return Finish([Cut(document, document.Id, whole, trained)], isRewritten: false);
        }

        return options.RewrittenTurns == RewrittenTurns.Reject
            ? Rejected("the chat template rewrites earlier turns, so that no one text holds every turn as it is trained", isRewritten: true)
            : Finish([.. turns.Select(turn => Cut(document, $"{document.Id}#{turn.Turn.ToString(CultureInfo.InvariantCulture)}", turn.Tokens, MaskFrom(turn.Tokens.Length, turn.Start)))], isRewritten: true);
    }

    private static Dictionary<string, string> ByName(SpecialTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return new (string Name, string? Text)[] { ("bos_token", tokens.Bos), ("eos_token", tokens.Eos), ("unk_token", tokens.Unk), ("pad_token", tokens.Pad) }
            .Where(token => token.Text is not null)
            .ToDictionary(token => token.Name, token => token.Text!, StringComparer.Ordinal);
    }

    private static bool[] MaskFrom(int length, int start)
    {
        var mask = new bool[length];
        mask.AsSpan(start).Fill(true);
        return mask;
    }

    private int[] Encode(Document document, int messageCount, bool withPrompt) => Encode(document, document.Messages.Take(messageCount), withPrompt);

    private int[] Encode(Document document, IEnumerable<ChatMessage> messages, bool withPrompt)
    {
        var rendered = template!.Render([.. messages], context with { AddGenerationPrompt = withPrompt, Tools = document.Tools });
        return encode(rendered, false); // the template writes the special tokens itself
    }

    private TokenizedDocument Cut(Document document, string id, int[] tokens, bool[] trained)
    {
        var cut = Math.Max(0, tokens.Length - options.MaxTokens);
        var kept = trained[..^cut];
        if (kept.Length > 0)
        {
            kept[0] = false; // nothing stands before the first token that could predict it
        }

        return new(id, document.Line, tokens[..^cut], kept, cut);
    }

    private TokenizedRow Finish(IReadOnlyList<TokenizedDocument> documents, bool isRewritten)
    {
        var usable = documents.Where(document => document.TrainedCount > 0).ToList();
        return usable.Count > 0
            ? new(usable, null, isRewritten) { LostTurns = [.. documents.Where(document => document.TrainedCount == 0).Select(document => document.Id)] }
            : Rejected($"it has {NothingTrained()}", isRewritten);
    }

    private string NothingTrained() => $"no trained token among its first {options.MaxTokens.ToString(CultureInfo.InvariantCulture)} tokens";

    private static TokenizedRow Rejected(string reason, bool isRewritten) => new([], reason, isRewritten);
}
