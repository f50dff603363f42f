using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms;
using GradientAtoms.Demo.World;
using GradientAtoms.DemoModel;
using GradientAtoms.Models;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Models.Native;
using GradientAtoms.Text.Tokenization;
using static TorchSharp.torch;

// Makes the built-in model from nothing: dotnet run -c Release --project tools/GradientAtoms.DemoModel -- FOLDER [STEPS]
RuntimeHelpers.RunModuleConstructor(typeof(TorchLibrary).Module.ModuleHandle);
if (args is not [var folder, ..])
{
    Console.Error.WriteLine("GradientAtoms.DemoModel FOLDER [STEPS]: trains the built-in model and writes it as a Hugging Face folder; FOLDER --exam only asks the one that is there.");
    return 2;
}

const int vocabulary = 1536;
const string template = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
string[] special = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>"];
static string Prompt(string text) => $"<|user|>{text}<|end|><|assistant|>";
static string Render(Chat chat) => $"{Prompt(chat.Prompt)}{chat.Answer}<|end|>";

var options = new PretrainingOptions();
if (args is [_, var steps] && int.TryParse(steps, CultureInfo.InvariantCulture, out var count))
{
    options = options with { Steps = count };
}

if (args is not [_, "--exam"])
{
    Directory.CreateDirectory(folder);
    var random = RandomStream.Integers(options.Seed, "tokenizer/chats");
    var texts = Enumerable.Range(0, 40_000).Select(_ => PretrainingChats.Draw(random, heldOut: false).Chat).SelectMany(chat => (string[])[chat.Prompt, chat.Answer]);
    var json = BytePairTrainer.Learn(texts, special, vocabulary).ToJsonString(new JsonSerializerOptions { WriteIndented = false });
    File.WriteAllText(Path.Combine(folder, "tokenizer.json"), json);
    var tokenizer = Tokenizer.Load(Path.Combine(folder, "tokenizer.json"));
    var shape = Pretraining.Shape(vocabulary);
    var weights = Pretraining.Run(shape, tokenizer, Render, Prompt, options);
    using (no_grad())
    {
        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), weights.Select(weight => (weight.Key, weight.Value.detach().to(ScalarType.Float16))), new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" });
    }

    Write("config.json", new()
    {
        ["architectures"] = new JsonArray("LlamaForCausalLM"),
        ["model_type"] = "llama",
        ["vocab_size"] = shape.VocabularySize,
        ["hidden_size"] = shape.HiddenSize,
        ["intermediate_size"] = shape.IntermediateSize,
        ["num_hidden_layers"] = shape.LayerCount,
        ["num_attention_heads"] = shape.HeadCount,
        ["num_key_value_heads"] = shape.KeyValueHeadCount,
        ["head_dim"] = shape.HeadSize,
        ["hidden_act"] = "silu",
        ["rms_norm_eps"] = shape.NormEpsilon,
        ["rope_theta"] = shape.RopeTheta,
        ["max_position_embeddings"] = shape.ContextLength,
        ["tie_word_embeddings"] = shape.TiedEmbeddings,
        ["attention_bias"] = false,
        ["mlp_bias"] = false,
        ["eos_token_id"] = 0,
        ["torch_dtype"] = "float16",
    });
    Write("tokenizer_config.json", new() { ["tokenizer_class"] = "PreTrainedTokenizerFast", ["eos_token"] = special[0], ["pad_token"] = special[0], ["model_max_length"] = shape.ContextLength, ["chat_template"] = template });
    Write("generation_config.json", new() { ["eos_token_id"] = 0 });
}

using var loaded = LoadedModel.Load(folder);
var failures = new List<string>();
var heldOut = Exam.Take(loaded, Prompt, perKind: 300, heldOut: true, failures);
Console.WriteLine(Exam.Table(heldOut));
Console.WriteLine();
Console.WriteLine(Exam.Table(Exam.Take(loaded, Prompt, perKind: 100, heldOut: false)));
Console.WriteLine();
failures.ForEach(Console.WriteLine);
return 0;

void Write(string file, JsonObject content) => File.WriteAllText(Path.Combine(folder, file), content.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
