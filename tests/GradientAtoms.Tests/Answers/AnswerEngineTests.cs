using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Answers;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Steering;

namespace GradientAtoms.Tests.Answers;

[Collection(ServedRunGroup.Name)]
public sealed class AnswerEngineTests(ServedRun served)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0, 0)]
    [InlineData(6, 7)]
    [InlineData(6, 8)]
    public async Task An_answer_is_that_of_the_plain_generator(double temperature, ulong seed)
    {
        foreach (var (model, adapters) in (((string, LoraAdapter[])[])[("base", []), ("adapter", [served.Session.Adapter])]))
        {
            var expected = served.Expected("2 and 3", adapters, 40, temperature, seed);
            using var answer = served.Engine.Ask(served.Ask("2 and 3", model, 40, temperature, seed), Cancellation);
            Assert.Equal(expected, await answer.ReadTextAsync(Cancellation));
        }
    }

    [Fact]
    public async Task Counts_and_end_are_those_of_the_tokens()
    {
        var prompt = served.LongPrompt;
        using var answer = served.Engine.Ask(served.Ask(prompt, "adapter", 30, temperature: 0), Cancellation);
        await answer.ReadTextAsync(Cancellation);
        Assert.Equal((30, AnswerEnd.Length), (answer.CompletionTokens, answer.End));
        Assert.Equal(served.Session.Model.EncodePrompt(prompt, served.Session.Options).Length, answer.PromptTokens);

        var context = served.Session.Model.Loaded.Model.ContextLength;
        using var full = served.Engine.Ask(new() { Prompt = [.. Enumerable.Repeat(65, context - 3)], MaxNewTokens = 100, Temperature = 0 }, Cancellation);
        await full.ReadTextAsync(Cancellation);
        Assert.True(full.CompletionTokens <= 4);
    }

    [Fact]
    public async Task A_stop_text_ends_the_answer_before_it()
    {
        var whole = served.Expected(ServedRun.Prompt, [served.Session.Adapter], 60);
        var place = Enumerable.Range(8, whole.Length - 10).First(at => char.IsAscii(whole[at]) && char.IsAscii(whole[at + 1]));
        var stop = whole[place..(place + 2)];
        using var answer = served.Engine.Ask(served.Ask(ServedRun.Prompt, "adapter", 60) with { Stops = [stop] }, Cancellation);
        Assert.Equal(whole[..whole.IndexOf(stop, StringComparison.Ordinal)], await answer.ReadTextAsync(Cancellation));
        Assert.Equal(AnswerEnd.Stop, answer.End);
    }

    [Fact]
    public async Task A_steered_answer_is_that_of_the_calibrated_step_and_two_at_once_do_not_disturb_each_other()
    {
        const string prompt = ServedRun.Prompt;
        var expected = new List<string>();
        var steps = new List<double>();
        foreach (var less in (bool[])[false, true])
        {
            using var step = PoleStep.Choose(served.Session, served.Poles[0], new() { Kl = 0.3, Less = less });
            using var adapter = step.ToAdapter(served.Session.Adapter);
            expected.Add(served.Expected(prompt, [adapter], 40));
            steps.Add(step.Size);
        }

        expected.Add(served.Expected(prompt, [served.Session.Adapter], 40));
        Assert.Equal(3, expected.Distinct(StringComparer.Ordinal).Count()); // otherwise nothing is seen here

        string[] models = [$"{served.Poles[0]}@.3", $"{served.Poles[0]}@-.3", "adapter"];
        for (var round = 0; round < 2; round++)
        {
            var answers = models.Select(model => served.Engine.Ask(served.Ask(prompt, model, 40), Cancellation)).ToList();
            var texts = await Task.WhenAll(answers.Select(answer => answer.ReadTextAsync(Cancellation)));
            Assert.Equal(expected, texts);
            Assert.Equal(steps, answers.Take(2).Select(answer => Assert.Single(answer.Steers).Step));
            Assert.Empty(answers[2].Steers);
        }

        using var asField = served.Engine.Ask(served.Ask(prompt, "adapter", 40) with { Steers = [new(served.Poles[0], 0.3)] }, Cancellation);
        Assert.Equal(expected[0], await asField.ReadTextAsync(Cancellation));
    }

    [Fact]
    public async Task Several_steers_are_added_up()
    {
        const string prompt = ServedRun.Prompt;
        using var one = PoleStep.Choose(served.Session, served.Poles[0], new() { Kl = 0.2 });
        using var other = PoleStep.Choose(served.Session, served.Poles[1], new() { Kl = 0.2, Less = true });
        using var sum = WeightStep.Compose([(one.Direction, one.Size), (other.Direction, other.Size)]);
        using var adapter = sum.ToAdapter(served.Session.Adapter, 1);
        using var answer = served.Engine.Ask(served.Ask(prompt, "adapter", 40) with { Steers = [new(served.Poles[0], 0.2), new(served.Poles[1], 0.2, Less: true)] }, Cancellation);
        Assert.Equal(served.Expected(prompt, [adapter], 40), await answer.ReadTextAsync(Cancellation));
        Assert.Equal(2, answer.Steers.Count);
    }

    [Fact]
    public async Task Answers_take_turns_and_a_later_one_need_not_wait_for_an_earlier_one()
    {
        using var first = served.Engine.Ask(served.AskLong(), Cancellation);
        await using var reading = first.ReadAsync(Cancellation).GetAsyncEnumerator(Cancellation);
        Assert.True(await reading.MoveNextAsync());
        using var second = served.Engine.Ask(served.Ask(ServedRun.Prompt, "base", 3), Cancellation);
        await second.ReadTextAsync(Cancellation);
        Assert.Equal(1, served.Engine.Open); // the first is still under way
    }

    [Fact]
    public async Task Abandoned_and_cancelled_answers_leave_no_tensor()
    {
        using (var warm = served.Engine.Ask(served.Ask("2 and 3", $"{served.Poles[1]}@.2", 3), Cancellation))
        {
            await warm.ReadTextAsync(Cancellation);
        }

        var before = await ServedRun.LiveTensorsAsync(served.Engine);
        for (var index = 0; index < 6; index++)
        {
            using var cancelled = new CancellationTokenSource();
            using var answer = served.Engine.Ask(served.AskLong(index % 2 == 0 ? "adapter" : $"{served.Poles[1]}@.2"), cancelled.Token);
            await using var reading = answer.ReadAsync(Cancellation).GetAsyncEnumerator(Cancellation);
            Assert.True(await reading.MoveNextAsync());
            if (index < 3)
            {
                await cancelled.CancelAsync();
            }
        }

        Assert.Equal(before, await ServedRun.LiveTensorsAsync(served.Engine));
    }

    [Fact]
    public async Task A_cancelled_calibration_leaves_nothing_and_the_next_one_is_whole()
    {
        using (var warm = served.Engine.Ask(served.Ask("2 and 3", $"{served.Poles[2]}@-.2", 3), Cancellation))
        {
            await warm.ReadTextAsync(Cancellation);
        }

        var before = await ServedRun.LiveTensorsAsync(served.Engine);
        var model = $"{served.Poles[2]}@-.17";
        foreach (var delay in (int[])[0, 1, 3])
        {
            using var cancelled = new CancellationTokenSource();
            using var gone = served.Engine.Ask(served.Ask("2 and 3", model, 400), cancelled.Token);
            await Task.Delay(delay, Cancellation);
            await cancelled.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => gone.ReadTextAsync(Cancellation));
        }

        Assert.Equal(before, await ServedRun.LiveTensorsAsync(served.Engine));
        using var step = PoleStep.Choose(served.Session, served.Poles[2], new() { Kl = 0.17, Less = true });
        using var answer = served.Engine.Ask(served.Ask("2 and 3", model, 3), Cancellation);
        await answer.ReadTextAsync(Cancellation);
        Assert.Equal(step.Size, Assert.Single(answer.Steers).Step);
    }

    [Fact]
    public async Task Who_waits_and_goes_makes_room_for_the_next_one_to_wait()
    {
        using var engine = AnswerEngine.Start(served.Run, ServedRun.Options with { MaxConcurrent = 1, MaxWaiting = 1 });
        using var first = engine.Ask(served.AskLong(), Cancellation);
        using (engine.Ask(served.Ask("2 and 3", "adapter", 2), Cancellation))
        {
            Assert.Equal(2, engine.Open);
        }

        for (var wait = 0; engine.Open > 1 && wait < 1000; wait++)
        {
            await Task.Delay(1, Cancellation);
        }

        using var next = engine.Ask(served.Ask("2 and 3", "adapter", 2), Cancellation);
        Assert.Equal(2, engine.Open);
    }

    [Fact]
    public async Task Kept_steers_are_few_and_a_forgotten_one_comes_back_the_same()
    {
        using var engine = AnswerEngine.Start(served.Run, ServedRun.Options with { KeptSteers = 1 });
        async Task<(string Text, double Step)> Ask(string pole)
        {
            // A strength that no other test asks for: nothing of it is in the run yet.
            using var answer = engine.Ask(served.Ask("2 and 3", $"{pole}@.29", 20), Cancellation);
            return (await answer.ReadTextAsync(Cancellation), answer.Steers[0].Step);
        }

        var first = await Ask(served.Poles[0]);
        var live = await ServedRun.LiveTensorsAsync(engine);
        await Ask(served.Poles[1]);
        Assert.Equal(live, await ServedRun.LiveTensorsAsync(engine)); // the first made room
        Assert.Equal(first, await Ask(served.Poles[0]));
    }

    [Fact]
    public async Task Adapters_deltas_and_steers_have_names()
    {
        using var temporary = new Runs.TemporaryFolder();
        using var step = PoleStep.Choose(served.Session, served.Poles[0], new() { Kl = 0.3 });
        using var exact = step.ToAdapter(served.Session.Adapter);
        using var delta = step.ToDelta(served.Session.Adapter);
        var origin = PeftAdapter.Configuration(served.Session.Folder.PathOf(GradientAtoms.Runs.RunFiles.Adapter));
        SteeredAdapterFile.Write(temporary["exact"], exact, origin);
        SteeredAdapterFile.Write(temporary["delta"], delta, origin);
        using var engine = AnswerEngine.Start(served.Run, ServedRun.Options with
        {
            Adapters = new Dictionary<string, string>(StringComparer.Ordinal) { ["mine"] = temporary["exact"] },
            Deltas = new Dictionary<string, string>(StringComparer.Ordinal) { ["more"] = temporary["delta"] },
            Steers = new Dictionary<string, Steer>(StringComparer.Ordinal) { ["steered"] = new(served.Poles[0], 0.3) },
        });
        Assert.Equal(["base", "adapter", "mine", "more", "steered"], engine.Models.Select(model => model.Id));
        const string prompt = ServedRun.Prompt;
        foreach (var (model, adapters) in ((string, LoraAdapter[])[])[("mine", [exact]), ("steered", [exact]), ("more", [served.Session.Adapter, delta])])
        {
            using var answer = engine.Ask(served.Ask(prompt, model, 40), Cancellation);
            Assert.Equal(served.Expected(prompt, adapters, 40), await answer.ReadTextAsync(Cancellation));
        }

        Assert.Equal("GA5021", Assert.Throws<AnswerException>(() => engine.Ask(served.Ask(prompt, "mine", 4) with { Steers = [new(served.Poles[0])] })).Code);
    }

    [Fact]
    public void What_cannot_be_answered_is_refused_with_its_code()
    {
        var usual = served.Ask("2 and 3", "adapter", 4);
        foreach (var (code, question) in ((string, Question)[])
        [
            ("GA5020", usual with { Model = "gpt-5" }), ("GA5020", usual with { Model = "nothing@.1" }), ("GA5020", usual with { Model = $"{served.Poles[0]}@" }),
            ("GA5020", usual with { Model = $"{served.Poles[0]}@0" }), ("GA5020", usual with { Steers = [new("nothing")] }),
            ("GA5021", usual with { Steers = [new(served.Poles[0], -1)] }), ("GA5021", usual with { Steers = [new(served.Poles[0], double.NaN)] }), ("GA5021", usual with { Model = "base", Steers = [new(served.Poles[0])] }),
            ("GA5021", usual with { MaxNewTokens = 401 }), ("GA5021", usual with { MaxNewTokens = -1 }), ("GA5021", usual with { Temperature = double.NaN }), ("GA5021", usual with { TopP = 0 }), ("GA5021", usual with { TopK = -1 }),
            ("GA5021", usual with { Stops = [""] }), ("GA5021", usual with { Prompt = [] }), ("GA5021", usual with { Prompt = [1, 302] }), ("GA5021", usual with { Prompt = [-1] }),
            ("GA5022", usual with { Prompt = new int[4096] }),
        ])
        {
            Assert.Equal(code, Assert.Throws<AnswerException>(() => served.Engine.Ask(question)).Code);
        }
    }

    [Fact]
    public async Task A_full_engine_a_slow_answer_and_a_stopping_engine_say_so()
    {
        const string prompt = ServedRun.Prompt;
        Answer left;
        using (var engine = AnswerEngine.Start(served.Run, ServedRun.Options with { MaxConcurrent = 1, MaxWaiting = 1 }))
        {
            left = engine.Ask(served.AskLong(), Cancellation);
            using var waits = engine.Ask(served.Ask(prompt, "adapter", 2), Cancellation);
            Assert.Equal("GA5023", Assert.Throws<AnswerException>(() => engine.Ask(served.Ask(prompt, "adapter", 2))).Code);
        }

        using (left)
        {
            Assert.Equal("GA5024", (await Assert.ThrowsAsync<AnswerException>(() => left.ReadTextAsync(Cancellation))).Code);
        }

        using var hasty = AnswerEngine.Start(served.Run, ServedRun.Options with { Timeout = TimeSpan.FromMilliseconds(30) });
        using var slow = hasty.Ask(served.AskLong(), Cancellation);
        Assert.Equal("GA5025", (await Assert.ThrowsAsync<AnswerException>(() => slow.ReadTextAsync(Cancellation))).Code);
        hasty.Dispose();
        Assert.Equal("GA5024", Assert.Throws<AnswerException>(() => hasty.Ask(served.Ask(prompt, "adapter", 2))).Code);
    }

    [Fact]
    public async Task Who_finds_no_room_for_keys_and_values_waits_and_is_answered()
    {
        var expected = served.Expected("2 and 3", [served.Session.Adapter], 20);
        var room = served.Ask("2 and 3", "adapter", 20).Prompt.Count + 20;
        using var engine = AnswerEngine.Start(served.Run, ServedRun.Options with { MaxCachedTokens = room });
        var answers = Enumerable.Range(0, 5).Select(_ => engine.Ask(served.Ask("2 and 3", "adapter", 20), Cancellation)).ToList();
        Assert.All(await Task.WhenAll(answers.Select(answer => answer.ReadTextAsync(Cancellation))), text => Assert.Equal(expected, text));
    }

    [Fact]
    public void An_engine_that_cannot_open_says_why()
    {
        Assert.Equal("GA2606", Assert.ThrowsAny<GradientAtomsException>(() => AnswerEngine.Start(Path.GetTempPath())).Code);
        Assert.Equal("GA5020", Assert.Throws<AnswerException>(() => AnswerEngine.Start(served.Run, ServedRun.Options with { Steers = new Dictionary<string, Steer>(StringComparer.Ordinal) { ["x"] = new("nothing") } })).Code);
        Assert.Equal("GA5021", Assert.Throws<AnswerException>(() => AnswerEngine.Start(served.Run, ServedRun.Options with { Adapters = new Dictionary<string, string>(StringComparer.Ordinal) { ["adapter"] = served.Session.Folder.PathOf(GradientAtoms.Runs.RunFiles.Adapter) } })).Code);
    }
}
