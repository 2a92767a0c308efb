"""Chat templates in the manner of published ones, each using what its model family uses of Jinja, and conversations."""

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# As Kimi K2: a macro, a default system prompt, compact JSON, tool results under a heading.
KIMI = """{%- macro say(content) -%}
  {%- if content is string -%}
    {{ content }}
  {%- elif content is not none -%}
    {%- for item in content -%}{{ item['text'] if 'text' in item }}{%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{%- if tools -%}
  <|im_system|>tool_declare<|im_middle|>{{ tools | tojson(separators=(',', ':')) }}<|im_end|>
{%- endif -%}
{%- for message in messages -%}
  {%- if loop.first and messages[0]['role'] != 'system' -%}
  <|im_system|>system<|im_middle|>You are a helpful assistant.<|im_end|>
  {%- endif -%}
  {%- set speaker = message.get('name') or message['role'] -%}
  {%- if message['role'] == 'user' -%}
    <|im_user|>{{ speaker }}<|im_middle|>
  {%- elif message['role'] == 'assistant' -%}
    <|im_assistant|>{{ speaker }}<|im_middle|>
  {%- else -%}
    <|im_system|>{{ speaker }}<|im_middle|>
  {%- endif -%}
  {%- if message['role'] == 'assistant' -%}
    {%- if message.get('tool_calls') -%}
      {{- say(message['content']) -}}<|tool_calls_section_begin|>
      {%- for call in message['tool_calls'] -%}
        <|tool_call_begin|>{{ call['id'] }}<|tool_call_argument_begin|>{% if call['function']['arguments'] is string %}{{ call['function']['arguments'] }}{% else %}{{ call['function']['arguments'] | tojson }}{% endif %}<|tool_call_end|>
      {%- endfor -%}
      <|tool_calls_section_end|>
    {%- else -%}
      <think>{{ message.reasoning_content or '' }}</think>{{ say(message['content']) }}
    {%- endif -%}
  {%- elif message['role'] == 'tool' -%}
    {%- set call_id = message.tool_call_id -%}
    ## Return of {{ call_id }}
{{ say(message['content']) }}
  {%- else -%}
    {{ say(message['content']) }}
  {%- endif -%}
  <|im_end|>
{%- endfor -%}
{%- if add_generation_prompt -%}
  <|im_assistant|>assistant<|im_middle|>
{%- endif -%}
"""

# As DeepSeek V3.1: a namespace carried through, system prompts gathered, thinking cut from history by split.
DEEPSEEK = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% if not thinking is defined %}{% set thinking = false %}{% endif %}{% set ns = namespace(system='', after_user=false, in_tool=false, first=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.first %}{% set ns.system = ns.system + message['content'] %}{% set ns.first = false %}{%- else %}{% set ns.system = ns.system + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system }}
{%- for message in messages %}
{%- if message['role'] == 'user' %}{%- set ns.after_user = true -%}{%- set ns.in_tool = false -%}{{ '<｜User｜>' + message['content'] }}{%- endif %}
{%- if message['role'] == 'assistant' and message['tool_calls'] is defined and message['tool_calls'] is not none %}
{%- if ns.after_user %}{{ '<｜Assistant｜></think>' }}{%- endif %}{%- set ns.after_user = false -%}{%- set ns.begun = false -%}
{%- for tool in message['tool_calls'] %}
{%- if not ns.begun %}{{ (message['content'] or '') + '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + tool['function']['name'] + '<｜tool▁sep｜>' + tool['function']['arguments'] | tojson + '<｜tool▁call▁end｜>' }}{%- set ns.begun = true -%}
{%- else %}{{ '<｜tool▁call▁begin｜>' + tool['function']['name'] + '<｜tool▁sep｜>' + tool['function']['arguments'] | tojson + '<｜tool▁call▁end｜>' }}{%- endif %}
{%- endfor %}{{ '<｜tool▁calls▁end｜><｜end▁of▁sentence｜>' }}
{%- endif %}
{%- if message['role'] == 'assistant' and not message['tool_calls'] is defined %}
{%- if ns.after_user %}{{ '<｜Assistant｜>' }}{%- if message['prefix'] is defined and message['prefix'] and thinking %}{{ '<think>' }}{%- else %}{{ '</think>' }}{%- endif %}{%- endif %}{%- set ns.after_user = false -%}
{%- if ns.in_tool %}{{ message['content'] + '<｜end▁of▁sentence｜>' }}{%- set ns.in_tool = false -%}
{%- else %}{%- set content = message['content'] -%}{%- if '</think>' in content %}{%- set content = content.split('</think>', 1)[1] -%}{%- endif %}{{ content + '<｜end▁of▁sentence｜>' }}{%- endif %}
{%- endif %}
{%- if message['role'] == 'tool' %}{%- set ns.after_user = false -%}{%- set ns.in_tool = true -%}{{ '<tool_call>' + message['content'] + '</tool_call>' }}{%- endif %}
{%- endfor -%}
{%- if add_generation_prompt and ns.after_user and not ns.in_tool %}{{ '<｜Assistant｜>' }}{%- if not thinking %}{{ '</think>' }}{%- else %}{{ '<think>' }}{%- endif %}{% endif %}"""

# As Qwen3: tools as JSON, a walk backwards for the last question, startswith/split/strip, keys put between brackets.
QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\nYou may call one or more functions.\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
        {%- for key in tool.function.parameters.properties | default({}) %}
            {{- '\\n<' ~ key ~ '>' ~ tool.function.parameters.properties[key].type ~ '</' ~ key ~ '>' }}
        {%- endfor %}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or reasoning) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and content) or (not loop.first) %}
                {{- '\\n' }}
            {%- endif %}
            {%- if call.function %}
                {%- set call = call.function %}
            {%- endif %}
            {{- '<tool_call>\\n{"name": "' }}
            {{- call.name }}
            {{- '", "arguments": ' }}
            {%- if call.arguments is string %}
                {{- call.arguments }}
            {%- else %}
                {{- call.arguments | tojson }}
            {%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

# As GLM: control tokens made from the role, training marks, macros over lists, sorted keys, indented and ASCII JSON.
GLM = """[gMASK]<sop>
{%- macro visible(content) -%}
    {%- if content is string -%}{{- content -}}{%- else -%}{%- for item in content -%}{%- if item is mapping and item.type == 'text' -%}{{- item.text -}}{%- endif -%}{%- endfor -%}{%- endif -%}
{%- endmacro -%}
{%- if tools -%}
<|system|>
# Tools
{% for tool in tools %}
{{ tool | tojson(ensure_ascii=True, indent=2, sort_keys=True) }}
{% endfor %}
{%- endif -%}
{%- for m in messages %}
{%- if m.role == 'tool' %}
    {%- if loop.first or loop.previtem.role != 'tool' %}
        {{- '<|observation|>' }}
    {%- endif %}
    {{- '\\n<tool_response>\\n' + m.content + '\\n</tool_response>' }}
{%- else %}
{{- '<|' + m.role + '|>' }}
{% if m.role == 'assistant' %}{% generation %}<think>{{ (m.reasoning_content | default('', true)).strip() }}</think>
{{ visible(m.content) | trim }}
{%- for tc in m.tool_calls | default([]) %}
{{ '\\n<tool_call>' + tc.function.name }}
{% for k, v in tc.function.arguments.items() %}
<arg_key>{{ k }}</arg_key>
<arg_value>{{ v | tojson(ensure_ascii=False) if v is not string else v }}</arg_value>
{% endfor %}
{%- for k, v in tc.function.arguments | dictsort %}{{ k | upper }}={{ loop.index }}/{{ loop.length }};{% endfor %}
</tool_call>{% endfor %}{% endgeneration %}
{%- else %}
{{- visible(m.content) }}
{{- '/nothink' if (enable_thinking is defined and not enable_thinking and not visible(m.content).endswith("/nothink")) else '' -}}
{%- endif %}
{%- endif %}
{%- endfor %}
{%- for n in range(10) -%}{%- if n == 3 -%}{%- break -%}{%- endif -%}{%- endfor -%}
{%- if add_generation_prompt -%}
    <|assistant|>{{- '\\n<think></think>' if (enable_thinking is defined and not enable_thinking) else '' -}}
{%- endif -%}
"""

TEMPLATES = {"chatml": CHATML, "kimi": KIMI, "deepseek": DEEPSEEK, "qwen": QWEN, "glm": GLM}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Größe & <Wetter> of a \"city\"\n日本",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 1.5, "enum": [1, 2.0, None, True]}},
            "required": ["city"],
        },
    },
}
USER = {"role": "user", "content": "What's 1 < 2 & 3 > 2?  "}
SYSTEM = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "<think>\nhm, let me see\n</think>\n\nYes."}
REASONED = {"role": "assistant", "content": "Yes.", "reasoning_content": "\n obviously \n"}
CALLS = {
    "role": "assistant",
    "content": "Let me look.",
    "tool_calls": [
        {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich \"old\"", "days": 2}}, "id": "functions.get_weather:0"},
        {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "京都", "b": [1, {"c": None}], "a": 1e-7}}, "id": "functions.get_weather:1"},
    ],
}
RESULTS = [
    {"role": "tool", "content": "{\"sunny\": true}", "tool_call_id": "functions.get_weather:0"},
    {"role": "tool", "content": "rain", "tool_call_id": "functions.get_weather:1"},
]

CONVERSATIONS = [
    ([USER], None, True, {}),
    ([SYSTEM, USER], None, True, {}),
    ([SYSTEM, USER, ANSWER, USER], None, True, {"enable_thinking": False}),
    ([USER, REASONED], None, False, {}),
    ([SYSTEM, USER, CALLS, *RESULTS], [WEATHER], True, {}),
    ([USER, CALLS, *RESULTS, ANSWER, USER, REASONED], [WEATHER, WEATHER], False, {"thinking": True}),
    ([USER, {"role": "assistant", "content": ""}, {"role": "user", "content": "  \n\ttabs and 漢字 😀 /nothink"}], None, True, {"enable_thinking": False, "thinking": True}),
]

CASES = [
    {"template": template, "messages": messages, "tools": tools, "add_generation_prompt": prompt, "variables": variables}
    for template in TEMPLATES
    for messages, tools, prompt, variables in CONVERSATIONS
    if template != "chatml" or not tools
]
